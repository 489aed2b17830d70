"""Write a proxy of your own, and see how well it ranks networks beside those that are built in.

About half a minute: eight networks are scored untrained, and then trained for two epochs each.
"""

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from search import open_data, open_space
from search.data import fetch
from search.proxies.base import proxy
from search.proxies.context import ScoreContext
from search.proxies.registry import score
from search.train import train
from search.train_config import TrainConfig

torch.set_num_threads(1)  # quicker than more threads on networks this small

SEED, NETWORKS = 0, 8
space = open_space("mobile-tiny?resolution=16&width=0.5&depth=1-1-1")
data = open_data("digits", space.input_shape, SEED)


@proxy("how far a network can see")
def reach(context: ScoreContext) -> float:
    """Sum over all convolutions of their kernel size less one."""
    return float(
        sum(m.kernel_size[0] - 1 for m in context.model.modules() if isinstance(m, nn.Conv2d))
    )


generator = np.random.default_rng(SEED)
torch.manual_seed(SEED)
images, labels = fetch(data.train, torch.arange(32))
figures: dict[str, list[float]] = {}
accuracies = []
for _ in range(NETWORKS):
    network = space.build(space.sample(generator))
    context = ScoreContext(network, images, labels, SEED)
    scores = {name: each.value for name, each in score(context, ["flops", "naswot"]).items()}
    scores["reach"] = reach(context)
    for name, value in scores.items():
        figures.setdefault(name, []).append(np.nan if value is None else value)
    accuracies.append(train(network, data, TrainConfig(epochs=2)).validation_accuracy)

print(f"{NETWORKS} networks, accuracy {min(accuracies):.1%} to {max(accuracies):.1%}")
for name, values in figures.items():
    correlation = spearmanr(values, accuracies, nan_policy="omit").statistic
    print(f"{name:7s} rank correlation with the accuracy {correlation:+.2f}")
print("So few networks say little: benchmarks/nasbench201.py compares on 15,625.")
