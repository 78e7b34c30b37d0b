"""What the OpenAPI document says of all routes alike."""

from typing import Any

from emobraid.app.api_models import ErrorBody, PredictRequest

ABOUT = (
    "Reads the emotion a person expresses in text, voice and face, any subset of them. It is the model's guess of what "
    "is expressed, not what anybody feels; do not use it to judge people. Inferring emotions from face or voice at "
    "work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)). Nothing that is sent is stored."
)
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody, "description": what}
    for code, what in {
        400: "The body cannot be read.",
        401: "A token is needed.",
        403: "Another host's or origin's request.",
        413: "The body is too large.",
        415: "Neither JSON nor a form.",
        422: "Something in it is wrong, or there is nothing to read.",
        503: "Busy or not ready; Retry-After says when to come again.",
        504: "Given up after the time limit.",
    }.items()
}


def body_of(kind: type[PredictRequest]) -> dict[str, Any]:
    """The two shapes of a body: JSON with files in base64, or a form with files."""
    schema = kind.model_json_schema()
    examples = schema.pop("examples", [])
    files = {name: {**schema["properties"][name], "format": "binary"} for name in ("audio", "video")}
    form = {**schema, "properties": {**schema["properties"], **files}}
    named = {f"example {i}": {"value": one} for i, one in enumerate(examples, 1)}
    content = {
        "application/json": {"schema": schema, "examples": named},
        "multipart/form-data": {"schema": form},
    }
    return {"requestBody": {"required": True, "content": content}}
