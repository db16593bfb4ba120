//! Every sensor in words: what it says, where it is read, how old that is; and what was not found.

use super::MonitorTab;
use crate::app::tabs::Cx;
use crate::app::theme::{card, figures, size, strong};
use crate::app::widgets::note;
use crate::telemetry::channel::Unit;
use crate::telemetry::sampler::lock;
use egui::{Grid, RichText, ScrollArea, Ui};

impl MonitorTab {
    pub(super) fn sensors(&mut self, ui: &mut Ui, cx: &Cx<'_>) {
        let p = cx.palette;
        let (rows, facts) = {
            let store = lock(cx.store);
            let now = store.now();
            let row = |(place, c): (usize, &crate::telemetry::channel::Channel)| {
                let value = store.latest_at(place).map(|v| c.unit.show(f64::from(v)));
                let limit = c.limit.filter(|_| c.unit != Unit::Percent).map(|l| c.unit.show(f64::from(l)));
                (c.name.clone(), value, limit, store.age(place, now), c.source.clone(), c.without_value())
            };
            let rows: Vec<_> = store.channels().iter().enumerate().map(row).collect();
            (rows, store.facts().clone())
        };
        let mut words = vec![facts.machine.clone()];
        words.extend([&facts.jetpack, &facts.l4t, &facts.power_mode].into_iter().flatten().cloned());
        note(ui, p, words.join(" · "));
        ScrollArea::both().auto_shrink(false).show(ui, |ui| {
            card(p).show(ui, |ui| {
                ui.spacing_mut().interact_size.y = 20.0;
                Grid::new("sensors").num_columns(5).spacing([18.0, 6.0]).show(ui, |ui| {
                    for head in ["Reading", "now", "limit", "age", "source"] {
                        note(ui, p, head);
                    }
                    ui.end_row();
                    for (name, value, limit, age, source, missing) in rows {
                        ui.label(name);
                        match value {
                            Some(value) => ui.label(figures(value, size::LABEL)),
                            None => note(ui, p, missing),
                        };
                        ui.label(figures(limit.unwrap_or_default(), size::LABEL));
                        let late = age.is_some_and(|a| a > 3.0);
                        let age = age.map_or_else(|| "never".into(), |a| format!("{a:.1} s"));
                        let color = if late { p.warning } else { p.muted };
                        ui.label(figures(age, size::LABEL).color(color));
                        ui.label(RichText::new(source).size(size::LABEL).color(p.muted));
                        ui.end_row();
                    }
                });
            });
            if !facts.closed.is_empty() {
                ui.add_space(8.0);
                ui.label(strong("There, and not readable", size::BODY));
                for (what, why) in &facts.closed {
                    note(ui, p, format!("{what}: {why}"));
                }
            }
            if !facts.absent.is_empty() {
                ui.add_space(8.0);
                ui.label(strong("Looked for and not found", size::BODY));
                for (what, why) in &facts.absent {
                    note(ui, p, format!("{what}: {why}"));
                }
            }
        });
    }
}
