"""The card that every trained model carries: what it is, what it was trained on, what it must not be used for."""

from collections.abc import Mapping

from emobraid.config import Config
from emobraid.data.origin import is_synthetic
from emobraid.encoders import hub
from emobraid.model import MultimodalEmotionModel
from emobraid.training.state import Standing

RESPONSIBLE_USE = """\
This model guesses the emotion a person *expresses* in words, voice and face. It does not know what anybody feels:
expressions are not a reliable readout of feelings (Barrett et al. 2019, doi:10.1177/1529100619832930).
Do not use it to judge people: not for hiring, exams, policing, diagnosis, border control, or on children.
In the European Union, inferring emotions from biometric data at work or in education is prohibited
(AI Act, Regulation (EU) 2024/1689, Art. 5(1)(f)), and elsewhere people exposed to it must be told (Art. 50(3)).
Ask those whose face or voice it reads for their consent."""

SYNTHETIC = """\
- **Synthetic people**: drawn faces, computed voices, sentences from templates. What it says of a real person means
  nothing
"""


def model_card(model: MultimodalEmotionModel, config: Config, standing: Standing, utterances: int) -> str:
    """Markdown; the scores on a test split are in the report that `emobraid evaluate` writes, not here."""
    settings = config.model
    parameters = sum(p.numel() for p in model.parameters())
    below = "".join(map(base_facts, model.bases().values()))
    several = settings.label_kind == "multi"
    chosen = "macro-F1 of probabilities cut at 0.5" if several else "macro-F1"
    fitted = "a temperature and thresholds" if several else "a temperature"
    affect = f"- **Affect**: {', '.join(settings.affect)}, in the units of the data\n" if settings.affect else ""
    nobody = SYNTHETIC if is_synthetic(config.data.data_root) else ""
    encoders = ", ".join(f"{m} {getattr(settings, f'{m}_encoder')}" for m in settings.modalities)
    return f"""\
# An emobraid model: {settings.fusion_type} fusion of {", ".join(settings.modalities)}

- **Classes**: {", ".join(settings.labels)}{"; any number of them at once" if several else ""}
{affect}- **Encoders**: {encoders}; {parameters:,} parameters
- **Trained on**: `{config.data.data_root.name}`, {utterances} utterances, seed {config.training.seed}; the data's
  own terms apply to what is done with this model
{nobody}- **Chosen by**: validation {chosen}, {standing.best_score:.3f} at epoch {standing.best_epoch + 1}. This number
  was selected on and is optimistic; `emobraid evaluate` scores the sealed test split
{below}- **Calibration**: {fitted} for each subset of modalities, fitted on validation (`calibration.json`)

## Responsible use

{RESPONSIBLE_USE}
"""


def base_facts(base: Mapping[str, str]) -> str:
    """What is known of a pretrained encoder, as lines of the card."""
    facts = hub.about(base["name"])
    told = (
        f"{facts.licence}; trained on {facts.training_data}. Allowed: {facts.allowed_use}. "
        f"Evaluation data it may have seen: {facts.contamination}"
        if facts
        else "its licence and training data are not known to emobraid; its own card tells them"
    )
    return f"- **Built on** `{base['name']}` (sha256 {base['sha256'][:12]}): {told}\n"
