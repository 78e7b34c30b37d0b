"""Where all parts meet: a folder of data and a Config in, a trained and calibrated model out."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from accelerate import PartialState

from emobraid import checkpoint
from emobraid.config import Config
from emobraid.data.layouts import open_corpus
from emobraid.data.origin import is_synthetic
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import Reporter, read_split
from emobraid.evaluation.calibration import doubts, fit_temperatures, fit_thresholds
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.predictions import Predictions
from emobraid.fusion import FUSIONS
from emobraid.model import MultimodalEmotionModel
from emobraid.training import learnable, state
from emobraid.training.card import model_card
from emobraid.training.distillation import KnowledgeDistillationModel, key_of_kept, sized, teacher_of, teachers_reading
from emobraid.training.guidance import Guide
from emobraid.training.processes import launched
from emobraid.training.run_folder import BEST, clear, earlier_run, only_trainer
from emobraid.training.selection import class_score
from emobraid.training.sharding import ONE_PROCESS, Sharding
from emobraid.training.state import Standing, Watcher
from emobraid.training.trainer import Outcome, Trainer


class TrainingReporter(Reporter, Protocol):
    def watchers(self, config: Config, folder: Path, first_step: int, total_steps: int) -> Sequence[Watcher]: ...

    def named(self, name: str) -> AbstractContextManager["TrainingReporter"]:
        """A reporter for one of several that work side by side: its lines begin with `name`."""
        ...


def train(
    config: Config,
    folder: Path,
    *,
    resume: bool,
    overwrite: bool,
    reporter: TrainingReporter,
    sharding: Sharding = "none",
    given: Collection[str] = (),
) -> Outcome:
    """Train into `folder`: metrics.jsonl, resume/, best_model/. Nothing is written before all data has been read.

    `sharding` says how several processes hold the weights; what is written does not depend on it. `given` names the
    settings that were asked for, which a resumed run must agree with even where they are the usual ones.

    ValueError for anything the user can mend, Interrupted after a requested stop, NonFiniteLoss when it diverged.
    """
    processes = launched(cpu=config.training.device == "cpu" or not torch.cuda.is_available())
    if sharding == "fsdp" and processes.num_processes == 1:
        raise ValueError(ONE_PROCESS)
    saved = earlier_run(config, folder, resume=resume, overwrite=overwrite, reporter=reporter, given=given)
    if saved and saved.standing.processes != processes.num_processes:
        reporter.say(
            f"{saved.standing.processes} processes trained so far, {processes.num_processes} go on: batches and "
            "schedule stay the same, dropout's draws and the last digits do not"
        )
    if saved:
        config = replace(saved.config, data=config.data)
    config = replace(config, model=sized(config.model, config.distillation.student_size))
    teacher = teacher_of(config)
    corpus = open_corpus(config.data, config.model)
    rows = {name: corpus.split(name) for name in ("train", "val")}
    for name in rows:
        for note in corpus.notes(name):
            reporter.say(f"{name}: {note}")
    asked = config.model.modalities
    if needs_labels(config):
        learnable.refuse_untaught_rows(rows["train"], config.model, str(corpus.rows.table("train")))
    config = learnable.only(config, learnable.given(config.model, rows["train"]), reporter)
    config = replace(config, model=learnable.with_feature_widths(config, rows["train"]))
    loss_weights = objective_weights(config)
    model, pair = _built(config, teacher)
    with processes.main_process_first():  # the others find in the cache what the first has decoded
        splits = {name: read_split(model.by_modality(), own, config, name, reporter) for name, own in rows.items()}
    if config != (config := learnable.only(config, learnable.read(splits["train"]), reporter)):
        splits = {name: learnable.without(split, config.model) for name, split in splits.items()}
        model, pair = _built(config, teacher)
    if needs_labels(config):
        learnable.look_over(splits, config.model, corpus.rows.table, reporter)
    left_out = [m for m in asked if m not in config.model.modalities]
    model.fit_inputs(splits["train"].tensors)
    model.fit_affect(splits["train"].affect)
    folder.mkdir(parents=True, exist_ok=True)
    with only_trainer(folder) if processes.is_main_process else nullcontext():
        if overwrite and processes.is_main_process:
            clear(folder)
        guide = None
        with processes.main_process_first():
            if pair and teacher:
                guide = teachers_reading(pair, teacher.config, config, splits["train"], folder, reporter)
        terms = teacher.terms if teacher else ""  # a student keeps those of whom it learns from
        return _train(model, splits, config, folder, loss_weights, saved, reporter, guide, sharding, terms, left_out)


def _built(
    config: Config, teacher: checkpoint.Trained | None
) -> tuple[MultimodalEmotionModel, KnowledgeDistillationModel | None]:
    """The model, the same for one seed, and with a teacher the two of them."""
    torch.manual_seed(config.training.seed)
    pair = KnowledgeDistillationModel(teacher.model, config.model) if teacher else None
    model = pair.student if pair else MultimodalEmotionModel(config.model)
    refuse_idle_settings(model, config)
    return model, pair


def needs_labels(config: Config) -> bool:
    """Whether any epoch learns from labels."""
    return config.training.pretrain_epochs < config.training.num_epochs


def _train(
    model: MultimodalEmotionModel,
    splits: Mapping[str, PreparedSplit],
    config: Config,
    folder: Path,
    loss_weights: Mapping[str, float],
    saved: state.Saved | None,
    reporter: TrainingReporter,
    guide: Guide | None,
    sharding: Sharding,
    terms: str,
    left_out: Sequence[str],
) -> Outcome:
    def keep_best(model: MultimodalEmotionModel, standing: Standing) -> None:
        if not main and sharding == "none":
            return
        card = model_card(model, config, standing, len(splits["train"]))
        files = checkpoint.model_files(model, config, calibration={}, card=card, synthetic=synthetic, terms=terms)
        if main:
            checkpoint.publish(folder / BEST, files)

    main, synthetic = PartialState().is_main_process, is_synthetic(config.data.data_root)
    trainer = Trainer(
        model,
        splits["train"],
        splits["val"],
        config,
        folder,
        loss_weights=loss_weights,
        on_best=keep_best,
        guide=guide,
        sharding=sharding,
    )
    if guide:
        trainer.standing.data += f" {key_of_kept(folder)}"
    if saved:
        trainer.resume(saved)
    else:
        trainer.standing.left_out = list(left_out)
    reporter.say(f"{config.model.fusion_type} fusion, {sizes(model)}, {trainer.accelerator.device}")
    trainer.watchers = reporter.watchers(config, folder, trainer.standing.step, trainer.total_steps)
    outcome = trainer.fit()
    trainer.accelerator.wait_for_everyone()
    if needs_labels(config) and main:
        read = calibrate(folder / BEST, splits["val"])
        if len(read.subsets) > 1:
            reporter.say(f"validation macro-F1 by what is there: {by_subset(read)}")
        for doubt in doubts(read):
            reporter.say(doubt)
    return replace(outcome, best_model=folder / BEST)


def by_subset(read: Predictions) -> str:
    """`text 0.512, audio 0.480, text+audio 0.561`: the price of a missing modality, on the rows that have the rest."""
    return ", ".join(f"{subset} {class_score(read, subset):.3f}" for subset in read.subsets)


def sizes(model: MultimodalEmotionModel) -> str:
    """`3.2 M parameters`, or with frozen ones among them `1.3 M of 87.6 M parameters trained (1.5 %)`."""
    every = [(p.numel(), p.requires_grad) for p in model.parameters()]
    every += [(count, False) for tower in model.towers().values() if (count := tower.frozen_parameters())]
    total, trained = sum(n for n, _ in every), sum(n for n, learns in every if learns)
    if trained == total:
        return f"{total / 1e6:.1f} M parameters"
    return f"{trained / 1e6:.1f} M of {total / 1e6:.1f} M parameters trained ({100 * trained / total:.1f} %)"


def calibrate(path: Path, val: PreparedSplit) -> Predictions:
    """Fit temperatures, and thresholds where classes do not exclude each other, of the best model on validation, for
    each modality subset, and store them with it."""
    model, _, _ = checkpoint.load_model(path)
    read = predict_split(model, val)
    files = dict(checkpoint.read(path))
    temperatures = fit_temperatures(read)
    fitted = {"temperatures": temperatures, "thresholds": fit_thresholds(read, temperatures)}
    files["calibration.json"] = json.dumps({k: v for k, v in fitted.items() if v}, indent=1).encode()
    checkpoint.publish(path, files)
    return read


def refuse_idle_settings(model: MultimodalEmotionModel, config: Config) -> None:
    """ValueError for settings that nothing in this model listens to."""
    tuned = any(tower.model is not None for tower in model.towers().values())
    settings = config.training
    if config.model.added_labels:
        raise ValueError("added_labels is what `emobraid add-emotion` writes; training learns all labels together")
    heard = "audio" in config.model.modalities and config.model.audio_encoder == "compact"
    if settings.voice_change and not heard:
        raise ValueError("voice_change is for the compact voice encoder, and this model has none")
    if settings.reconstruction_weight and not config.model.fill_missing:
        raise ValueError("reconstruction_weight needs --fill_missing: nothing is imagined in this model")
    if config.model.fill_missing and not settings.reconstruction_weight:
        raise ValueError("fill_missing needs --reconstruction_weight above 0, or nothing teaches it what to imagine")
    if settings.subset_views == "all" and not settings.modality_dropout:
        raise ValueError("subset_views all needs --modality_dropout above 0, which says how much each subset counts")
    if settings.pretrain_epochs and len(config.model.modalities) < 2:
        raise ValueError("pretrain_epochs learns which modalities belong together; this model has one")
    for name in ("gradient_checkpointing", "compile"):
        if getattr(config.training, name) and not tuned:
            raise ValueError(f"{name} is for tuned pretrained encoders, and none is tuned here; see --text_tuning")
    if config.training.compile and (config.training.device == "cpu" or not torch.cuda.is_available()):
        raise ValueError("compile is for GPUs: on a CPU it takes minutes for each shape and gains nothing")


def objective_weights(config: Config) -> dict[str, float]:
    """The fusion's own weights, changed by the recipe; ValueError for a loss that the fusion has nothing for."""
    own = dict(FUSIONS[config.model.fusion_type].objectives)
    for name in ("unimodal", "alignment", "members"):
        asked = getattr(config.training, f"{name}_weight")
        if asked is None:
            continue
        if asked and name not in own and name != "alignment":
            raise ValueError(f"{name}_weight: {config.model.fusion_type} fusion has no such output")
        own[name] = asked
    asked = config.training.affect_weight
    if asked and not config.model.affect:
        raise ValueError("affect_weight: the model reads no affect; name dimensions with --affect")
    if config.model.affect:
        own["affect"] = 1.0 if asked is None else asked
    return own
