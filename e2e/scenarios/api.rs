//! What ECS refuses is refused at apply time, in ECS's words.

use crate::support::operator::Resting;
use crate::support::{client, ground};

#[tokio::test]
async fn bad_objects_are_refused_and_good_ones_accepted_by_the_api_server() {
    if !ground::rests("the API table") {
        return;
    }
    // the table is about the API server alone: an operator would put finalizers on what is sent
    let _resting = Resting::begin();
    let failures = crate::api_table::run(client().await).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
