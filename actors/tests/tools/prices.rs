//! The cost of a run, exact to the millionth.

use quell_actors::{
    CancelReason, Outcome, Runtime,
    agent::Limits,
    sim::Storyteller,
    usage::{Money, Prices, Usage, UsageSource},
};

use super::{
    How, clerk, ended,
    scripted::{Scripted, stop, text, usage},
    start,
    support::partial,
};

const fn millionths(millionths: u64) -> Money {
    Money::from_millionths(millionths)
}

/// 3 for a million tokens in, and 15 for a million out: 3 and 15 millionths for one.
const PRICES: Prices = Prices {
    input: Money::from_cents(300),
    output: Money::from_cents(1_500),
};

async fn costs(model: impl quell_actors::Model, prices: Prices, most: Option<Money>) -> Outcome {
    let limits = Limits {
        max_cost: most,
        ..Limits::default()
    };
    let agent = clerk(model).prices(prices).limits(limits).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    ended(&run).await
}

#[tokio::test(start_paused = true)]
async fn a_run_costs_what_it_may_and_not_a_millionth_more() {
    // 100 in and 10 out are 450 millionths.
    let model = || Scripted::new().answer([text("one"), usage(100, 10), stop()]);
    let outcome = costs(model(), PRICES, Some(millionths(450))).await;
    assert_eq!(outcome.text(), "one");
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");

    let outcome = costs(model(), PRICES, Some(millionths(449))).await;
    let receipt = &partial(&outcome).receipt;
    assert_eq!(receipt.reason, CancelReason::Budget);
    assert_eq!(receipt.by.as_deref(), Some("max_cost"));
    assert_eq!(
        receipt.cost,
        Some(millionths(450)),
        "the receipt says what it cost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cost_is_cut_within_one_chunk() {
    // "Sing." is 2 tokens in, 6 millionths; each word is one token out, 15.
    let words = || Storyteller::new("aaa bbb ccc ddd ");
    for (most, said, cost) in [
        (6, "aaa ", 21),
        (20, "aaa ", 21),
        (21, "aaa bbb ", 36),
        (35, "aaa bbb ", 36),
    ] {
        let outcome = costs(words(), PRICES, Some(millionths(most))).await;
        assert_eq!(outcome.text(), said, "{most}");
        assert_eq!(partial(&outcome).receipt.cost, Some(millionths(cost)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cost_limit_of_zero_allows_only_free_models() {
    for most in [0, 5] {
        let model = Storyteller::new("never");
        let probe = model.probe();
        let outcome = costs(model, PRICES, Some(millionths(most))).await;
        assert_eq!(partial(&outcome).receipt.by.as_deref(), Some("max_cost"));
        assert_eq!(partial(&outcome).receipt.cost, Some(millionths(0)));
        assert_eq!(probe.requests(), 0, "it would cost 6, so it is not asked");
    }
    let free = Prices::default();
    let outcome = costs(Storyteller::new("for nothing"), free, Some(millionths(0))).await;
    assert_eq!(outcome.text(), "for nothing");
    let outcome = costs(Storyteller::new("whatever"), PRICES, None).await;
    assert_eq!(outcome.text(), "whatever");
}

#[test]
fn costs_are_exact_round_up_and_do_not_overflow() {
    let usage = |input, output| Usage::new(input, output, UsageSource::Provider);
    let cost = |prices: Prices, input, output| prices.cost(&usage(input, output)).as_millionths();
    assert_eq!(cost(PRICES, 0, 0), 0);
    assert_eq!(cost(PRICES, 1, 0), 3);
    let little = Prices {
        input: millionths(1),
        output: millionths(0),
    };
    assert_eq!(
        cost(little, 1, u64::MAX),
        1,
        "the smallest part counts as a millionth"
    );
    assert_eq!(cost(little, 1_000_000, 0), 1);
    assert_eq!(cost(little, 1_000_001, 0), 2);
    let much = Prices {
        input: millionths(u64::MAX),
        output: millionths(u64::MAX),
    };
    assert_eq!(cost(much, u64::MAX, u64::MAX), u64::MAX);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_counts_beyond_all_bounds_hurts_nobody() {
    let model =
        Scripted::new().answer([text("one"), usage(u64::MAX, u64::MAX), text("two"), stop()]);
    let much = Prices {
        input: millionths(u64::MAX),
        output: millionths(u64::MAX),
    };
    let outcome = costs(model, much, Some(millionths(u64::MAX - 1))).await;
    assert_eq!(partial(&outcome).receipt.cost, Some(millionths(u64::MAX)));
}
