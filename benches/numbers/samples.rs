//! Many measurements of one thing, and what is said of them.

/// Measurements of one thing, sorted.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(list: I) -> Samples {
        let mut list: Vec<f64> = list.into_iter().collect();
        list.sort_by(f64::total_cmp);
        Samples(list)
    }
}

impl Samples {
    /// The smallest value that at least this share of all values does not exceed; 0 when there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// The median, and the range.
    pub(crate) fn say(&self, unit: impl Fn(f64) -> String) -> String {
        let (least, most) = (self.quantile(0.0), self.max());
        format!("{} ({} - {})", unit(self.median()), unit(least), unit(most))
    }
}

/// Quell and the control, measured in turns: the two of one place are a pair.
#[derive(Default)]
pub(crate) struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    pub(crate) fn push(&mut self, quell: f64, control: f64) {
        self.0.push((quell, control));
    }

    pub(crate) fn quell(&self) -> Samples {
        self.0.iter().map(|(quell, _)| *quell).collect()
    }

    pub(crate) fn control(&self) -> Samples {
        self.0.iter().map(|(_, control)| *control).collect()
    }

    /// The ratio of each pair.
    pub(crate) fn ratios(&self) -> Samples {
        self.0
            .iter()
            .map(|(quell, control)| quell / control)
            .collect()
    }
}

/// A time, given in seconds.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s if s >= 1e-6 => format!("{:.2} us", s * 1e6),
        s => format!("{:.0} ns", s * 1e9),
    }
}

/// An amount of memory, given in bytes.
pub(crate) fn memory(bytes: f64) -> String {
    if bytes >= 1024.0 {
        format!("{:.2} KiB", bytes / 1024.0)
    } else {
        format!("{bytes:.1} B")
    }
}

/// A ratio, or a plain number.
pub(crate) fn ratio(number: f64) -> String {
    format!("{number:.2}")
}

/// A share of one core.
pub(crate) fn share(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}
