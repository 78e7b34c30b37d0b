"""Which episodes a few-shot study draws: what was asked for, made to fit the rows and speakers that there are."""

from collections.abc import Iterator
from dataclasses import replace

from emobraid.config import Config, FewShotConfig, fields_of
from emobraid.data.few_shot import FewShotDataset, Labelled
from emobraid.data.preparer import Reporter

SIZES = ("adapter_size", "prompt_length", "lora_rank")  # what the model's settings say of prompts and adapters
FEWEST = 2  # query rows of a class, below which shots are given up first


def draw(rows: Labelled, config: Config, shots: int, count: int) -> FewShotDataset:
    """The episodes of one number of shots; others have the same queries, and fewer shots are among more."""
    asked, labels = config.few_shot, config.model.labels
    return FewShotDataset(
        rows,
        shots,
        asked.ways or len(labels),
        n_query=asked.queries,
        episodes=count,
        seed=config.training.seed,
        room=max(asked.shots),
        class_names=labels,
    )


def refuse_ways(config: Config) -> None:
    """ValueError for more classes in an episode than the model has."""
    if (ways := config.few_shot.ways) and ways > len(config.model.labels):
        raise ValueError(f"--ways {ways}: the model has {len(config.model.labels)} classes")


def fitted(rows: Labelled, config: Config, count: int, where: str, reporter: Reporter, *, new: bool = True) -> Config:
    """The settings with fewer queries, shots or ways where `rows` are too few for `count` episodes, which is said.

    With `new` off only shots that were asked for stay, as for each of them a rate was chosen. ValueError when not even
    one shot and one query of two classes can be had.
    """
    refused = ""
    for plan in _plans(config.few_shot, len(config.model.labels), new=new):
        smaller = replace(config, few_shot=plan)
        try:
            draw(rows, smaller, max(plan.shots), count)
        except ValueError as error:
            refused = refused or str(error)
            continue
        if refused:
            reporter.say(f"{where}: {refused}. Instead: {told(plan, len(config.model.labels))}")
        return smaller
    raise ValueError(f"{where}: {refused}")


def _plans(asked: FewShotConfig, classes: int, *, new: bool) -> Iterator[FewShotConfig]:
    """What was asked for, then smaller and smaller plans: queries go first, then shots, ways last."""
    every = sorted(asked.shots)
    shots = [tuple(s for s in asked.shots if s in every[:n]) for n in range(len(every), 0, -1)]
    shots += [(n,) for n in range(every[0] - 1, 0, -1)] if new else []
    for ways in [asked.ways] if asked.ways else [None, *range(classes - 1, 1, -1)]:
        for least, most in ((min(FEWEST, asked.queries), asked.queries), (1, FEWEST - 1)):
            for own in shots:
                for queries in range(most, least - 1, -1):
                    yield replace(asked, ways=ways, shots=own, queries=queries)


def told(plan: FewShotConfig, classes: int) -> str:
    """`shots 1, 5; 4 queries; 7 ways`."""
    return f"shots {', '.join(map(str, plan.shots))}; {plan.queries} queries; {plan.ways or classes} ways"


def refuse_changed_base(base: Config, asked: Config) -> None:
    """ValueError for a setting that a base which is there already does not have."""
    for section in ("model", "training"):
        was, now, default = (getattr(c, section) for c in (base, asked, Config()))
        for name in fields_of(type(was)):
            value = getattr(now, name)
            free = name in (*SIZES, "labels", "seed", "device") or name.endswith("_width")
            if not free and value not in (getattr(default, name), getattr(was, name)):
                raise ValueError(
                    f"{name} {value} is not what the base was made with, {getattr(was, name)}; leave it out"
                )
