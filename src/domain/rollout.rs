//! Percent arithmetic of deployments: how many tasks must stay, how many may be, which stop is affordable. (PCT)

/// How few healthy and how many wanted tasks a service may have. (PCT-1)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Healthy running tasks that must remain; rounded up.
    pub lower: u32,
    /// Tasks that may have desired status RUNNING, of all deployments together; rounded down. (PCT-3, PCT-4)
    pub upper: u32,
}

impl Bounds {
    /// The bounds of `desired` tasks under `minimumHealthyPercent` and `maximumPercent`.
    #[must_use]
    pub fn new(desired: u32, minimum_percent: u32, maximum_percent: u32) -> Self {
        let share = |percent: u32| u64::from(desired).saturating_mul(u64::from(percent));
        let whole = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            lower: whole(share(minimum_percent).div_ceil(100)),
            upper: whole(share(maximum_percent).div_euclid(100)),
        }
    }

    /// Tasks that may be started now, with `wanted` tasks of desired status RUNNING. (PCT-6)
    #[must_use]
    pub fn startable(&self, wanted: u32) -> u32 {
        self.upper.saturating_sub(wanted)
    }
}

/// What a task contributes to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing: it does not run, or its health checks do not pass.
    Down,
    /// It runs, and is healthy by the passing of time alone. (HEALTH-1)
    Warming,
    /// It counts for the lower bound. (PCT-3)
    Healthy,
}

/// What may still be stopped without going below the lower bound. (PCT-6)
///
/// Tasks that are down are free. A warming task is free in ECS's arithmetic too; here it is not, if the service
/// would be left with fewer running tasks than the lower bound, for it gets healthy if it is let alone.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    healthy: u32,
    warming: u32,
    lower: u32,
}

impl Budget {
    /// A budget of a service whose tasks, those marked for stopping left out, stand like this.
    #[must_use]
    pub fn new(lower: u32, standings: impl IntoIterator<Item = Standing>) -> Self {
        let (mut healthy, mut warming) = (0u32, 0u32);
        for standing in standings {
            match standing {
                Standing::Down => {}
                Standing::Warming => warming = warming.saturating_add(1),
                Standing::Healthy => healthy = healthy.saturating_add(1),
            }
        }
        Self {
            healthy,
            warming,
            lower,
        }
    }

    /// Pays for stopping one task, if that is affordable.
    #[must_use]
    pub fn pay(&mut self, standing: Standing) -> bool {
        match standing {
            Standing::Down => true,
            Standing::Warming => {
                let pays = self.healthy.saturating_add(self.warming) > self.lower;
                if pays {
                    self.warming = self.warming.saturating_sub(1);
                }
                pays
            }
            Standing::Healthy => {
                let pays = self.healthy > self.lower;
                if pays {
                    self.healthy = self.healthy.saturating_sub(1);
                }
                pays
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_first_steps_are_as_in_the_table_pct_1_pct_6_pct_7() {
        // desired, min, max, lower, upper, start first, stop first
        let table = [
            (4, 100, 200, 4, 8, 4, 0),
            (4, 50, 100, 2, 4, 0, 2),
            (4, 50, 200, 2, 8, 4, 2),
            (3, 100, 125, 3, 3, 0, 0),
            (2, 75, 100, 2, 2, 0, 0),
            (1, 100, 200, 1, 2, 1, 0),
            (1, 0, 100, 0, 1, 0, 1),
            (1, 50, 100, 1, 1, 0, 0),
            (10, 90, 110, 9, 11, 1, 1),
            (5, 33, 150, 2, 7, 2, 3),
            (0, 100, 200, 0, 0, 0, 0),
        ];
        for (desired, min, max, lower, upper, start, stop) in table {
            let bounds = Bounds::new(desired, min, max);
            assert_eq!(
                (bounds.lower, bounds.upper),
                (lower, upper),
                "{desired} {min} {max}"
            );
            assert_eq!(bounds.startable(desired), start);
            let healthy = (0..desired).map(|_| Standing::Healthy);
            let mut budget = Budget::new(lower, healthy.clone());
            let stops = healthy.filter(|s| budget.pay(*s)).count();
            assert_eq!(stops, stop, "{desired} {min} {max}");
        }
    }

    #[test]
    fn huge_percentages_do_not_overflow() {
        let bounds = Bounds::new(u32::MAX, 100, u32::MAX);
        assert_eq!((bounds.lower, bounds.upper), (u32::MAX, u32::MAX));
    }

    #[test]
    fn tasks_that_are_down_cost_nothing_and_warming_ones_their_place_pct_6() {
        let mut budget = Budget::new(2, [Standing::Healthy, Standing::Warming, Standing::Warming]);
        assert!(budget.pay(Standing::Down));
        assert!(!budget.pay(Standing::Healthy));
        assert!(budget.pay(Standing::Warming));
        assert!(!budget.pay(Standing::Warming));
    }
}
