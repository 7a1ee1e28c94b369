//! Whether the cost of a call stays what it is with more routes, more tokens and more open streams.

use super::{
    calls::{self, AT_FULL_SPEED, CONNECTIONS, cost},
    gateway::{Credential, Gateway, Prepared, Route, many_routes},
    plan::Plan,
    process::streams_within,
    report::{Report, median},
    starts::{Grants, many_tokens},
    streams,
};

/// Measures the cost of a call at both ends of each scale, in turns.
pub async fn measure(plan: &Plan, report: &mut Report) {
    let (_stub, stub) = calls::stub();
    let one =
        || vec![Route::new("route000", "/call", Credential::Header), Route::new("idle", "/idle", Credential::Header)];
    let mut rows = Vec::new();

    let few = Prepared::new(stub, &one(), None, &[]).await.start();
    let many = Prepared::new(stub, &many_routes(plan.size(500, 20)), None, &[]).await.start();
    rows.push(compare(plan, format!("routes: 2, {}", plan.size(500, 20)), &few, &many).await);
    drop(many);

    let prepared = Prepared::new(stub, &one(), None, &[]).await;
    many_tokens(&prepared, plan.size(1_000_000, 1000), Grants::One);
    let many = prepared.start();
    rows.push(compare(plan, format!("stored tokens: 2, {}", plan.size(1_000_000, 1000)), &few, &many).await);
    drop(many);

    let many = Prepared::new(stub, &one(), None, &[]).await.start();
    let count = streams_within(plan.size(10_000, 50));
    let streams = streams::open(&many.target("idle"), count).await;
    rows.push(compare(plan, format!("open streams: 0, {count}"), &few, &many).await);
    drop(streams);

    report.table("growth, CPU µs per call", &["scale", "few", "many", "ratio"], &rows);
}

async fn compare(plan: &Plan, name: String, few: &Gateway, many: &Gateway) -> (String, Vec<f64>) {
    let (mut of_few, mut of_many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let (less, _) = measure_one(plan, few).await;
        let (more, _) = measure_one(plan, many).await;
        of_few.push(less);
        of_many.push(more);
        ratios.push(more / less);
    }
    (name, vec![median(&of_few), median(&of_many), median(&ratios)])
}

async fn measure_one(plan: &Plan, gateway: &Gateway) -> (f64, f64) {
    let target = gateway.target("route000");
    cost(Some(&gateway.process), target.address, &target.call(), CONNECTIONS, AT_FULL_SPEED, plan.window).await
}
