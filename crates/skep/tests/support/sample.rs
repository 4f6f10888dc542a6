//! What a tool shows, with what differs from run to run struck out where it stands: the columns keep their widths.

/// Struck out.
const DIFFERENT: &str = "#";

/// A header and rows below it, of which the values in the columns of these titles are struck out. Each of those must
/// begin or end where its title does.
pub fn columns(text: &str, differing: &[&str]) -> String {
    let header = text.lines().next().unwrap_or_default();
    let titles = words(header);
    let spans = differing.iter().map(|name| {
        let title = titles.iter().find(|(start, end)| &header[*start..*end] == *name);
        *title.unwrap_or_else(|| panic!("no column {name}: {header}"))
    });
    let spans: Vec<(usize, usize)> = spans.collect();
    let rows = text.lines().skip(1).filter(|row| !row.is_empty()).map(|row| {
        let words = words(row);
        let mut shown = row.to_owned();
        for title in &spans {
            let word = words.iter().find(|word| word.0 == title.0 || word.1 == title.1);
            let word = *word.unwrap_or_else(|| panic!("nothing below column {title:?}:\n{header}\n{row}"));
            let (start, end) = (word.0.min(title.0), word.1.max(title.1));
            let missing = end.saturating_sub(shown.len());
            shown.push_str(&" ".repeat(missing));
            // As wide as the title, whatever the value's length.
            let strokes = DIFFERENT.repeat(title.1 - title.0);
            shown.replace_range(
                start..end,
                &format!("{}{strokes}{}", " ".repeat(title.0 - start), " ".repeat(end - title.1)),
            );
        }
        shown.trim_end().to_owned()
    });
    std::iter::once(header.to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
}

/// A histogram's title and its first row, of which the count and the bar are struck out.
pub fn histogram(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains(" : count "));
    let title = lines.next().unwrap_or_default();
    let row = lines.next().unwrap_or_default();
    let (interval, rest) = row.split_once(" : ").unwrap_or_else(|| panic!("no histogram: {text}"));
    let (count, bar) = rest.split_once('|').unwrap_or_else(|| panic!("no bar: {text}"));
    let (count, bar) = (format!("{DIFFERENT:<0$}", count.len()), bar.replace('*', " "));
    format!("{title}\n{interval} : {count}|{bar}")
}

/// Where the words of a line begin and end.
fn words(line: &str) -> Vec<(usize, usize)> {
    let mut start = 0;
    let pieces = line.split(' ').map(|piece| {
        let span = (start, start + piece.len());
        start = span.1 + 1;
        span
    });
    pieces.filter(|(start, end)| start < end).collect()
}
