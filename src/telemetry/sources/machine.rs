//! What machine this is, and in which power mode.

use super::files::Root;
use crate::telemetry::channel::{Channel, Facts, Key};

/// What does not change: everything but power modes and GPUs.
pub(super) fn facts(root: &Root, channels: &[Channel]) -> Facts {
    let board = root.text("/proc/device-tree/model");
    let info = root.text("/proc/cpuinfo").unwrap_or_default();
    let cpu = info.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(':').nth(1));
    let l4t = root.text("/etc/nv_tegra_release").and_then(|t| release(&t));
    Facts {
        machine: board.or(cpu.map(|c| c.trim().to_owned())).unwrap_or_else(|| "a computer without a name".into()),
        cores: cores(root),
        unified: l4t.is_some() || channels.iter().any(|c| c.key == Key::NvMap),
        jetpack: l4t.as_deref().and_then(jetpack).map(str::to_owned),
        l4t,
        kernel: root.text("/proc/sys/kernel/osrelease").unwrap_or_default(),
        ..Facts::default()
    }
}

/// Cores that are on now: they have numbers with holes, and come and go.
pub(super) fn cores(root: &Root) -> usize {
    let stat = root.text("/proc/stat").unwrap_or_default();
    let is_core = |l: &&str| l.strip_prefix("cpu").is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    stat.lines().filter(is_core).count()
}

/// Names of the GPUs that are read.
pub(super) fn gpus(channels: &[Channel]) -> Vec<String> {
    channels.iter().filter(|c| matches!(c.key, Key::Gpu(_))).map(|c| c.name.clone()).collect()
}

/// The power mode in use, and the one that allows most, if it is another.
pub(super) fn power_modes(root: &Root) -> (Option<String>, Option<(u32, String)>) {
    // Such as "pmode:0002".
    let status = root.text("/var/lib/nvpmodel/status");
    let Some(mode) = status.and_then(|t| t.rsplit(':').next()?.trim().parse::<u32>().ok()) else { return (None, None) };
    let modes = root.text("/etc/nvpmodel.conf").map(|t| modes(&t)).unwrap_or_default();
    let name = modes.iter().find(|m| m.0 == mode).map(|m| m.1.clone());
    let faster = fastest(&modes).filter(|best| best.0 != mode);
    (Some(name.unwrap_or_else(|| format!("mode {mode}"))), faster)
}

/// "R36.4.3" of `# R36 (release), REVISION: 4.3, GCID: …`.
fn release(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let major = line.trim_start_matches(['#', ' ']).split_ascii_whitespace().next()?;
    let minor = line.split("REVISION:").nth(1)?.split(',').next()?.trim();
    Some(format!("{major}.{minor}"))
}

/// The JetPack that a release of Jetson Linux belongs to.
fn jetpack(release: &str) -> Option<&'static str> {
    match release.split('.').next()? {
        "R32" => Some("JetPack 4"),
        "R34" | "R35" => Some("JetPack 5"),
        "R36" => Some("JetPack 6"),
        "R38" | "R39" => Some("JetPack 7"),
        _ => None,
    }
}

/// Number and name of the modes in `nvpmodel.conf`: `< POWER_MODEL ID=0 NAME=15W >`.
fn modes(text: &str) -> Vec<(u32, String)> {
    let value = |line: &str, name: &str| line.split(name).nth(1)?.split_ascii_whitespace().next().map(str::to_owned);
    let mode = |line: &str| Some((value(line, "ID=")?.parse().ok()?, value(line, "NAME=")?));
    text.lines().filter(|l| l.trim_start().starts_with("< POWER_MODEL")).filter_map(mode).collect()
}

/// The mode that allows most: MAXN before watts, more watts before fewer.
fn fastest(modes: &[(u32, String)]) -> Option<(u32, String)> {
    let watts = |name: &str| -> u32 {
        if name.starts_with("MAXN") {
            return u32::MAX - u32::from(!name.contains("SUPER"));
        }
        let digits = name.find(|c: char| c.is_ascii_digit()).map_or("", |i| &name[i..]);
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
    };
    modes.iter().max_by_key(|m| watts(&m.1)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_and_modes_are_read() {
        let line = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8";
        assert_eq!(release(line).as_deref(), Some("R36.4.3"));
        assert_eq!(jetpack("R36.4.3"), Some("JetPack 6"));
        assert_eq!(jetpack("R99.1"), None);
        let conf = "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< POWER_MODEL ID=3 NAME=7W >\n< PM_CONFIG DEFAULT=0 >";
        let modes = modes(conf);
        assert_eq!(modes.len(), 4);
        assert_eq!(fastest(&modes), Some((2, "MAXN_SUPER".into())));
        assert_eq!(fastest(&modes[..2]), Some((1, "25W".into())));
        assert_eq!(fastest(&super::modes("")), None);
    }
}
