//! What operators count: sessions, leases that are stuck, databases that are away.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::broker::{Broker, record};

/// Counts when it is asked.
#[derive(Debug)]
struct Counts(Arc<Broker>);

/// Shows a broker's counts in `registry`.
pub fn register(broker: &Arc<Broker>, registry: &mut Registry) {
    registry.register_collector(Box::new(Counts(Arc::clone(broker))));
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let stuck = self.0.core.stuck.load(Ordering::Relaxed);
        for (name, help, value) in [
            (
                "sessions",
                "Sessions that are open",
                number(self.0.sessions().len()),
            ),
            (
                "leases_stuck",
                "Leases that could not be dropped",
                number(stuck),
            ),
            (
                "databases_away",
                "Databases that can't be used at this moment",
                number(self.0.away().count()),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let summed = ConstCounter::new(record::summed(&self.0.core));
        let help = "Refused connections and sign-ins that were recorded as a sum only";
        let metric =
            encoder.encode_descriptor("refusals_summed", help, None, summed.metric_type())?;
        summed.encode(metric)
    }
}
