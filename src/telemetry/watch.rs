//! Judges what is measured: what is wrong, and since when.

use super::channel::{Channel, Key, Unit, bytes};
use super::store::Store;
use super::warning::{Level, Warning};

/// Seconds that something must hold before it is said, and that it stays after it has gone.
const BEFORE: f64 = 2.0;
const AFTER: f64 = 10.0;
/// Memory below which the system begins to swap or to kill: this much, or this share of all.
const SPARE: f32 = 400e6;
const SPARE_SHARE: f32 = 0.06;
/// Degrees below a limit at which it is near.
const NEAR: f32 = 6.0;
/// A reading this many times older than it should be is stale.
const STALE: f64 = 5.0;

/// Remembers since when something is wrong, so that nothing flickers.
#[derive(Default)]
pub struct Watch {
    /// Kind, since when, last seen.
    seen: Vec<(Warning, f64, f64)>,
    /// Events counted at the last look, and when the last one came.
    alarms: Vec<(usize, f32)>,
    last_alarm: Option<f64>,
}

impl Watch {
    /// Looks at the newest readings (once a second) and tells the store what is wrong.
    pub fn look(&mut self, store: &mut Store, now: f64) {
        let found = self.find(store, now);
        for warning in found {
            match self.seen.iter_mut().find(|s| s.0.id == warning.id) {
                Some(seen) => {
                    seen.0 = warning;
                    seen.2 = now;
                }
                None => self.seen.push((warning, now, now)),
            }
        }
        self.seen.retain(|s| now - s.2 < AFTER);
        let mut shown: Vec<Warning> = self.seen.iter().filter(|s| s.2 - s.1 >= BEFORE).map(|s| s.0.clone()).collect();
        shown.sort_by_key(|w| std::cmp::Reverse(w.level));
        if store.warnings != shown {
            store.warnings = shown;
        }
    }

    fn find(&mut self, store: &Store, now: f64) -> Vec<Warning> {
        let mut found = Vec::new();
        found.extend(memory(store));
        found.extend(swap(store, now));
        found.extend(heat(store));
        found.extend(throttling(store));
        found.extend(self.alarms(store, now));
        found.extend(fan(store));
        found.extend(stale(store, now));
        found.extend(power_mode(store));
        if let Some(notice) = store.device_notice() {
            let next = "Answers come from the CPU. 'glossa doctor' says what is missing.";
            found.push(Warning::new("device", Level::Warning, notice.trim_end_matches('.').to_owned() + ".", next));
        }
        found
    }

    /// Counters of protections that have moved since the last look.
    fn alarms(&mut self, store: &Store, now: f64) -> Option<Warning> {
        for (place, channel) in store.channels().iter().enumerate() {
            let Key::Alarms(_) = channel.key else { continue };
            let Some(value) = store.latest_at(place) else { continue };
            match self.alarms.iter_mut().find(|a| a.0 == place) {
                Some(known) => {
                    if value > known.1 {
                        self.last_alarm = Some(now);
                    }
                    known.1 = value;
                }
                None => self.alarms.push((place, value)),
            }
        }
        // It is over in a moment, but somebody should read it.
        self.last_alarm.filter(|t| now - t < 30.0).map(|_| {
            let what = "The board has just protected itself against too much current or heat and slowed down.".into();
            let next = "Use a stronger power supply, or a lower power mode (sudo nvpmodel -m …).";
            Warning::new("alarm", Level::Warning, what, next)
        })
    }
}

fn memory(store: &Store) -> Option<Warning> {
    let channel = store.channel(Key::Memory)?;
    let free = channel.limit? - store.latest(Key::Memory)?;
    let spare = SPARE.max(channel.limit? * SPARE_SHARE);
    if free >= spare {
        return None;
    }
    let level = if free < spare / 2.0 { Level::Danger } else { Level::Warning };
    let what = format!("Only {} of memory are left.", bytes(f64::from(free.max(0.0))));
    let next = "Unload a model (Settings), close other programs, or choose a smaller model before the board swaps.";
    Some(Warning::new("memory", level, what, next))
}

/// Swap that has grown within the last half minute.
fn swap(store: &Store, now: f64) -> Option<Warning> {
    let place = store.place(Key::Swap)?;
    let (then, used) = (store.value_at(place, now - 30.0)?, store.latest_at(place)?);
    (used - then > 20e6).then(|| {
        let what = format!("The system moves memory to the disk: {} in half a minute.", bytes(f64::from(used - then)));
        Warning::new("swap", Level::Danger, what, "Answers will be slow. Unload models or close other programs.")
    })
}

fn heat(store: &Store) -> Option<Warning> {
    let temperatures = store.channels().iter().enumerate().filter(|(_, c)| matches!(c.key, Key::Temperature(_)));
    let margin = |(place, c)| -> Option<(f32, &str, f32)> {
        let c: &Channel = c;
        Some((c.limit? - store.latest_at(place)?, &c.name, c.limit?))
    };
    let (left, name, limit) = temperatures.filter_map(margin).min_by(|a, b| a.0.total_cmp(&b.0))?;
    (left < NEAR).then(|| {
        let at = limit - left;
        let what = format!("'{name}' is at {at:.0} °C; at {limit:.0} °C the clocks go down.");
        let level = if left < 0.0 { Level::Danger } else { Level::Warning };
        Warning::new("heat", level, what, "Clear the fan and the vents, or choose a lower power mode.")
    })
}

fn throttling(store: &Store) -> Option<Warning> {
    let held = store.channels().iter().enumerate().filter(|(_, c)| matches!(c.key, Key::Throttle(_)));
    let state = |(place, c)| -> Option<(f32, &str)> {
        let c: &Channel = c;
        Some((store.latest_at(place)?, c.name.trim_start_matches("held back: ")))
    };
    let (percent, name) = held.filter_map(state).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (percent > 0.0).then(|| {
        let what = format!("Clocks are held back ({name}): answers are slower than they could be.");
        let next = "It is too hot or at its power limit: better cooling, a stronger supply, or a pause. Figures measured now don't count.";
        Warning::new("throttling", Level::Warning, what, next)
    })
}

/// A fan that stands still while it is hot.
fn fan(store: &Store) -> Option<Warning> {
    let is_fan = |c: &&Channel| matches!(c.key, Key::Fan(_)) && c.unit == Unit::Rpm;
    let turns = store.channels().iter().filter(is_fan).filter_map(|c| store.latest(c.key)).reduce(f32::max)?;
    let (_, hottest) = store.hottest(store.newest()?)?;
    (turns < 1.0 && hottest > 75.0).then(|| {
        let what = format!("The fan stands still at {hottest:.0} °C.");
        Warning::new("fan", Level::Danger, what, "Check its plug and whether something blocks it.")
    })
}

/// A channel that has been read and is not any more.
fn stale(store: &Store, now: f64) -> Option<Warning> {
    let late = |(place, c)| -> Option<(f64, &Channel)> {
        let c: &Channel = c;
        let age = store.age(place, now)?;
        // What the app says of itself ends with what it describes.
        let matters = !matches!(c.key, Key::CudaMemory | Key::CudaTotal | Key::Process | Key::ProcessMemory | Key::GpuOwn(_))
                // A core that is switched off is no fault.
                && !matches!(c.key, Key::Core(_));
        (matters && age > STALE.max(f64::from(c.period) * STALE)).then_some((age, c))
    };
    let worst = store.channels().iter().enumerate().filter_map(late).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (age, Channel { name, source, .. }) = worst;
    let what = format!("'{name}' has not been readable for {age:.0} s.");
    Some(Warning::new(
        "stale",
        Level::Note,
        what,
        format!("Its curve has a gap. {source} is looked for again and again."),
    ))
}

fn power_mode(store: &Store) -> Option<Warning> {
    let facts = store.facts();
    let (mode, (number, faster)) = (facts.power_mode.as_ref()?, facts.faster_mode.as_ref()?);
    let what = format!("Power mode is {mode}; {faster} would allow higher clocks.");
    Some(Warning::new("mode", Level::Note, what, format!("sudo nvpmodel -m {number} (some modes need a restart).")))
}

#[cfg(test)]
mod tests {
    use super::super::channel::Facts;
    use super::*;

    fn store(channels: &[Channel]) -> Store {
        let mut store = Store::default();
        store.describe(channels, &Facts::default());
        store
    }

    /// Feeds `seconds` of the same row and looks once a second.
    fn run(watch: &mut Watch, store: &mut Store, from: u32, seconds: u32, row: &[f32]) -> Vec<&'static str> {
        for i in from * 10..(from + seconds) * 10 {
            let time = f64::from(i) * 0.1;
            store.push_row(time, row);
            if i % 10 == 9 {
                watch.look(store, time);
            }
        }
        store.warnings().iter().map(|w| w.id).collect()
    }

    #[test]
    fn low_memory_is_said_after_a_moment_and_goes_after_a_while() {
        let mut store = store(&[Channel::new(Key::Memory, "memory", Unit::Bytes, "t").up_to(Some(8e9))]);
        let mut watch = Watch::default();
        assert!(run(&mut watch, &mut store, 0, 5, &[5e9]).is_empty());
        assert!(run(&mut watch, &mut store, 5, 1, &[7.7e9]).is_empty(), "not at once");
        assert_eq!(run(&mut watch, &mut store, 6, 4, &[7.7e9]), ["memory"]);
        assert!(store.warnings()[0].what.contains("300 MB"), "{:?}", store.warnings());
        assert_eq!(run(&mut watch, &mut store, 10, 5, &[5e9]), ["memory"], "it stays for a while");
        assert!(run(&mut watch, &mut store, 15, 10, &[5e9]).is_empty());
    }

    #[test]
    fn heat_throttling_and_a_dead_fan_are_told_with_what_to_do() {
        let mut store = store(&[
            Channel::new(Key::Temperature(0), "cpu", Unit::Celsius, "t").up_to(Some(99.0)),
            Channel::new(Key::Throttle(1), "held back: cpufreq-cpu0", Unit::Percent, "t"),
            Channel::new(Key::Fan(0), "fan", Unit::Rpm, "t"),
            Channel::new(Key::Alarms(0), "over-current events", Unit::Count, "t"),
        ]);
        let mut watch = Watch::default();
        assert!(run(&mut watch, &mut store, 0, 5, &[60.0, 0.0, 0.0, 7.0]).is_empty());
        let mut ids = run(&mut watch, &mut store, 5, 5, &[96.0, 20.0, 0.0, 8.0]);
        ids.sort_unstable();
        assert_eq!(ids, ["alarm", "fan", "heat", "throttling"]);
        assert_eq!(store.warnings()[0].level, Level::Danger);
        assert!(store.warnings().iter().all(|w| !w.next.is_empty()));
    }

    #[test]
    fn a_sensor_that_stops_is_named_and_one_that_never_was_is_not() {
        let channel = |n, name: &str| Channel::new(Key::Rail(n), name, Unit::Watts, "t");
        let mut store = store(&[channel(0, "VDD_IN"), channel(1, "VDD_NONE")]);
        let mut watch = Watch::default();
        assert!(run(&mut watch, &mut store, 0, 9, &[5.0, f32::NAN]).is_empty());
        assert_eq!(run(&mut watch, &mut store, 9, 12, &[f32::NAN, f32::NAN]), ["stale"]);
        assert!(store.warnings()[0].what.contains("VDD_IN"));
    }

    #[test]
    fn growing_swap_and_another_device_are_told() {
        let mut store = store(&[Channel::new(Key::Swap, "swap", Unit::Bytes, "t")]);
        let mut watch = Watch::default();
        run(&mut watch, &mut store, 0, 40, &[1e6]);
        store.set_device_notice(Some("CUDA was asked for, but runs on CPU".into()));
        let mut ids = run(&mut watch, &mut store, 40, 5, &[200e6]);
        ids.sort_unstable();
        assert_eq!(ids, ["device", "swap"]);
    }
}
