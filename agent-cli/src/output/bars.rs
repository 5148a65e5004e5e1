//! Numbers as rows of block characters.

/// An eighth of a cell to a whole one, upwards.
const UPWARDS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same to the right.
const SIDEWARDS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar for each number, the highest for `most`; nothing for none.
pub(crate) fn row(counts: &[u64], most: u64) -> String {
    counts
        .iter()
        .map(|&count| match eighths(count, most, 1) {
            0 => ' ',
            some => UPWARDS[some - 1],
        })
        .collect()
}

/// One bar to the right, `width` cells long for `most`.
pub(crate) fn line(count: u64, most: u64, width: usize) -> String {
    let eighths = eighths(count, most, width);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(match eighths % 8 {
        0 => None,
        some => Some(SIDEWARDS[some - 1]),
    });
    bar
}

/// Whether a character is part of a bar.
pub(crate) fn is_bar(c: char) -> bool {
    UPWARDS.contains(&c) || SIDEWARDS.contains(&c)
}

/// How many eighths of `cells` cells stand for a number: one at least where it is not 0, all for `most` and more.
fn eighths(count: u64, most: u64, cells: usize) -> usize {
    let all = cells * 8;
    if count == 0 || most == 0 {
        return 0;
    }
    let share = u128::from(count) * all as u128 / u128::from(most);
    usize::try_from(share).unwrap_or(all).clamp(1, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_scaled_to_the_highest_number() {
        assert_eq!(row(&[0, 1, 2, 3, 4, 5, 6, 7, 8], 8), " ▁▂▃▄▅▆▇█");
        assert_eq!(row(&[500, 1_000, 0, 250], 1_000), "▄█ ▂");
    }

    #[test]
    fn what_was_used_once_is_seen_beside_what_was_used_a_million_times() {
        assert_eq!(row(&[1, 1_000_000], 1_000_000), "▁█");
        assert_eq!(line(1, 1_000_000, 20), "▏");
    }

    #[test]
    fn no_number_is_too_large_and_none_divides_by_zero() {
        assert_eq!(row(&[u64::MAX, 0], u64::MAX), "█ ");
        assert_eq!(row(&[0, 0], 0), "  ");
        assert_eq!(line(u64::MAX, 1, 3), "███");
    }

    #[test]
    fn a_line_ends_in_the_middle_of_a_cell() {
        assert_eq!(line(10, 10, 4), "████");
        assert_eq!(line(5, 10, 3), "█▌");
        assert_eq!(line(0, 10, 3), "");
    }
}
