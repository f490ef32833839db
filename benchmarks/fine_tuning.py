"""Fine-tuning EfficientNet-Lite0 on a CPU: foveal against fastai and a plain Keras script.

All programs train the whole network on the same files at the same side and batch size, in turns on
the same machine, each as its tutorial does it. Counted are pictures seen in training per second of
the epochs, validation included.

    python benchmarks/fine_tuning.py --fastai-python A/bin/python --keras-python B/bin/python
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import foveal_command
from holdout import list_items, thin, write_split
from other_program import Other
from outcome import Outcome, add_out, note, report, shared

_PEERS = {
    "fastai": ("fastai_lite0.py", ("fastai",)),
    "keras": ("keras_efficientnet.py", ("tensorflow-cpu",)),
}


def main() -> None:
    """Run the programs in turns and report the ratio of their rates, for each peer."""
    arguments = parse_arguments()
    peers = {
        name: Other(python, packages)
        for name, (_, packages) in _PEERS.items()
        if (python := getattr(arguments, f"{name}_python")) is not None
    }
    for peer in peers.values():
        peer.check()
    items = thin(list_items(shared(arguments.set, arguments.data)), arguments.per_class)
    sizes = (arguments.side, arguments.batch_size, arguments.epochs)
    rates: dict[str, list[float]] = {name: [] for name in ("foveal", *peers)}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        pictures = write_split(items, folder / "data")
        for number in range(arguments.rounds):
            rates["foveal"].append(run_foveal(arguments, folder, number, pictures))
            for name, peer in peers.items():
                found[name], _ = peer.run(_PEERS[name][0], folder / "data", *sizes)
                rates[name].append(found[name]["pictures"] / found[name]["fit_s"])
            latest = ", ".join(f"{name} {values[-1]:.1f}" for name, values in rates.items())
            note(f"  round {number}: {latest}")
    for name in peers:
        report(
            Outcome(
                claim=f"fine_tuning_{name}",
                what=f"pictures a second of fine-tuning EfficientNet-Lite0 at {arguments.side} px, "
                f"relative to {name}",
                unit="ratio",
                values=tuple(a / b for a, b in zip(rates["foveal"], rates[name], strict=True)),
                target=2.5,
                judged_by="median",
                detail={
                    "pictures": pictures,
                    "epochs": arguments.epochs,
                    "batch_size": arguments.batch_size,
                    "rates": rates,
                    "foveal": statistics.median(rates["foveal"]),
                    name: statistics.median(rates[name]),
                    "peer": found[name],
                },
            ),
            arguments.out,
        )


def run_foveal(arguments: argparse.Namespace, folder: Path, number: int, pictures: int) -> float:
    """Train with foveal; return the pictures that it trained on per second of its epochs."""
    options = ["--backbone", "efficientnet_lite0", "--strategy", "full"]
    options += ["--image-size", str(arguments.side), "--epochs", str(arguments.epochs)]
    options += ["--batch-size", str(arguments.batch_size)]
    trained = foveal_command.train(folder / "data", folder / "runs", f"round-{number}", options)
    rows = foveal_command.epoch_rows(trained, arguments.epochs)
    return arguments.epochs * pictures / sum(float(row["seconds"]) for row in rows)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    for name, (_, packages) in _PEERS.items():
        made.add_argument(
            f"--{name}-python",
            type=Path,
            help=f"interpreter of an environment with {packages[0]} (fastai: and timm)",
        )
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--set", default="cats_dogs", help="which set of pictures")
    made.add_argument("--per-class", type=int, default=200)
    made.add_argument("--side", type=int, default=224)
    made.add_argument("--epochs", type=int, default=2)
    made.add_argument("--batch-size", type=int, default=32)
    made.add_argument("--rounds", type=int, default=3)
    return made.parse_args()


if __name__ == "__main__":
    main()
