//! Diagnostics with source spans, tables, histograms and JSON forms.
