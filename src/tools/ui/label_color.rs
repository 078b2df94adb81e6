//! The colours of labels on a terminal.

use anstyle::{Ansi256Color, Style};

/// The least luma (0 to 255) of a colour that can be read on a dark terminal.
const MIN_LUMA: u32 = 48;

/// Returns the style for a label's colour `0xRRGGBB`: the nearest of the 216 colours that terminals
/// have in common. Colours that are too dark become bold; an invalid colour has no style.
pub fn label_style(color: &str) -> Style {
    let Some(rgb) = parse(color) else {
        return Style::new();
    };
    let [red, green, blue] = rgb.map(u32::from);
    match (299 * red + 587 * green + 114 * blue) / 1000 < MIN_LUMA {
        true => Style::new().bold(),
        false => Style::new().fg_color(Some(Ansi256Color(nearest(rgb)).into())),
    }
}

fn parse(color: &str) -> Option<[u8; 3]> {
    let digits = color
        .strip_prefix("0x")
        .or_else(|| color.strip_prefix('#'))
        .filter(|d| d.len() == 6)?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

/// Returns the index of the nearest colour of the 6 × 6 × 6 cube.
fn nearest(rgb: [u8; 3]) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |value: u8| {
        (0u8..6)
            .min_by_key(|at| STEPS[usize::from(*at)].abs_diff(value))
            .unwrap_or(0)
    };
    let [red, green, blue] = rgb.map(step);
    16 + 36 * red + 6 * green + blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_the_nearest_readable_colour() {
        let escape = |color| label_style(color).render().to_string();
        assert_eq!(escape("0xcc0000"), "\x1b[38;5;160m");
        assert_eq!(escape("0x3465a4"), "\x1b[38;5;61m");
        assert_eq!(escape("0x000000"), "\x1b[1m");
        assert_eq!(escape("0xed\x1b]"), "");
    }
}
