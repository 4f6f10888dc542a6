//! Names as their authors wrote them, from names as the linker sees them.

use cpp_demangle::{DemangleOptions, Symbol};

/// A name of C++ with its parameters: `_ZN1A1fEi` is `A::f(int)`. `None` for other names.
pub fn cpp(name: &str) -> Option<String> {
    if !name.starts_with("_Z") {
        return None;
    }
    Symbol::new(name).ok()?.demangle_with_options(&DemangleOptions::default()).ok()
}

/// A name of C++ without its parameters: `_ZN1A1fEi` is `A::f`. `None` for other names.
pub fn cpp_without_params(name: &str) -> Option<String> {
    if !name.starts_with("_Z") {
        return None;
    }
    let options = DemangleOptions::default().no_params().no_return_type();
    Symbol::new(name).ok()?.demangle_with_options(&options).ok()
}

/// A name of C++ or Rust as its author wrote it; any other as it is.
pub fn any(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    cpp(name).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_languages() {
        assert_eq!(cpp("_ZN1A1fEi").as_deref(), Some("A::f(int)"));
        assert_eq!(cpp_without_params("_ZN1A1fEi").as_deref(), Some("A::f"));
        assert_eq!(cpp("main"), None);
        assert_eq!(cpp("_Znonsense"), None);
        assert_eq!(any("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(any("_Z1fv"), "f()");
        assert_eq!(any("main"), "main");
    }
}
