"""Letters: at least 99 % on a held-out third, default recipe, within 90 s on 2 cores."""

from heldout_claim import Claim, main

CLAIMS = (
    Claim(
        name="letters",
        what="accuracy on a held-out third of 501 printed letters, default recipe "
        "(published: 93.42 %)",
        data="letters",
        share=1 / 3,
        accuracy=0.99,
        wall_s=90,
        # 167 test pictures: one mistake is 0.6 points, so one split says little.
        repeats=5,
    ),
)

if __name__ == "__main__":
    main(__doc__ or "", CLAIMS)
