"""The loaded router: decisions one by one, in a batch, under threads."""

from router_model.router import Router


def test_easy_words_go_to_a_cheaper_tier_than_hard_ones(router: Router) -> None:
    easy = router.route("hello thanks joke weather please near the river", quality=0.9)
    hard = router.route("prove theorem lemma manifold eigenvalue near the river", quality=0.9)
    assert easy.sufficiency["small"] > hard.sufficiency["small"] + 0.3
    assert router.ladder.index(easy.tier) < router.ladder.index(hard.tier)
