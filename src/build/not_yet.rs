//! Members that are accepted and have no effect yet: what a user sets without effect is said, never silent.

use crate::api::{EcsClusterSpec, OptimisticPlacement};

/// Members of an EcsCluster without effect, each a sentence that says what happens instead.
#[must_use]
pub fn of_cluster(spec: &EcsClusterSpec) -> Vec<String> {
    let mode = match spec.optimistic_placement {
        OptimisticPlacement::Off => return Vec::new(),
        OptimisticPlacement::On => "on",
        OptimisticPlacement::Smart => "smart",
    };
    vec![format!(
        "optimisticPlacement: '{mode}' is not supported yet and behaves as 'off': the share of a stopping task is free \
         when the task is STOPPED."
    )]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(sentences: &[String]) -> Vec<&str> {
        sentences
            .iter()
            .map(|s| s.split([' ', ':']).next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn optimistic_placement_other_than_off_is_named_opt_5() {
        let cluster = |mode: &str| serde_json::from_value(json!({ "optimisticPlacement": mode })).unwrap();
        assert_eq!(of_cluster(&cluster("off")), Vec::<String>::new());
        for mode in ["on", "smart"] {
            let said = of_cluster(&cluster(mode));
            assert_eq!(members(&said), ["optimisticPlacement"]);
            assert!(
                said.concat()
                    .contains(&format!("'{mode}' is not supported yet and behaves as 'off'"))
            );
        }
    }
}
