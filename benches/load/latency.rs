//! What a call waits longer for, at a modest rate.

use super::{
    calls,
    client::{Target, open_loop, quantiles},
    gateway::{Credential, Prepared, Route},
    peers,
    plan::Plan,
    report::{Report, median},
    undisturbed::Undisturbed,
};

/// Measures latency at fixed times of sending, and what each proxy adds to it.
pub async fn measure(plan: &Plan, report: &mut Report) {
    let undisturbed = Undisturbed::begin(plan);
    let (_stub, stub) = calls::stub();
    let bare = peers::pingora(plan, stub, "/call");
    let installed = if plan.has_peers() { peers::one_of_a_kind(stub) } else { Vec::new() };
    let gateway = Prepared::new(stub, &[Route::new("one", "/call", Credential::Connection)], None, &[]).await.start();
    let direct = Target { address: stub, path: "/call".to_owned(), token: "unchecked".to_owned() };
    let mut targets = vec![("direct".to_owned(), direct), (bare.name.clone(), bare.target.clone())];
    targets.extend(installed.iter().map(|peer| (peer.name.clone(), peer.target.clone())));
    targets.push(("Sallyport, connection of a person".to_owned(), gateway.target("one")));
    targets.retain(|(name, _)| name == "direct" || plan.wants(name));

    let window = plan.window * 2;
    let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); targets.len()];
    for _ in 0..plan.rounds {
        for ((_, target), rounds) in targets.iter().zip(&mut rounds) {
            let latencies = open_loop(target.address, target.call(), PER_SECOND, plan.warm_up, window).await;
            let (middle, upper) = quantiles(latencies, 0.99);
            rounds.push((middle.as_secs_f64() * 1e6, upper.as_secs_f64() * 1e6));
        }
    }
    let direct = rounds[0].clone();
    let rows: Vec<_> = targets
        .iter()
        .zip(&rounds)
        .map(|((name, _), rounds)| {
            let all = |of: fn(&(f64, f64)) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
            let added = |of: fn(&(f64, f64)) -> f64| {
                median(&rounds.iter().zip(&direct).map(|(one, direct)| of(one) - of(direct)).collect::<Vec<_>>())
            };
            let figures = vec![all(|both| both.0), all(|both| both.1), added(|both| both.0), added(|both| both.1)];
            (name.clone(), figures)
        })
        .collect();
    let title = format!("latency of tools/call, open loop, {PER_SECOND}/s, microseconds; {}", undisturbed.describe());
    report.table(&title, &["variant", "p50", "p99", "added p50", "added p99"], &rows);
}

const PER_SECOND: u32 = 1000;
