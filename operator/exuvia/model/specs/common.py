"""What all our kinds share: metadata, durations, amounts, selectors, conditions, and how a resource is parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from exuvia import errors

NAME_LENGTH = 253
TEXT_LENGTH = 1024
DURATION_PATTERN = r"^([0-9]+(h|m|s))+$"
AMOUNT_PATTERN = r"^([0-9]{1,6}|100%|[0-9]{1,2}%)$"
LABEL_KEY_LENGTH = 317
LABEL_VALUE_LENGTH = 63

_PARTS = re.compile(r"([0-9]+)([hms])")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def _camel(name: str) -> str:
    """`provider_id` -> `providerID`, as Kubernetes writes initials."""
    camel = to_camel(name)
    for suffix in ("Id", "Api"):
        if camel.endswith(suffix):
            return camel.removesuffix(suffix) + suffix.upper()
    return camel


def parse_duration(text: object) -> object:
    """A Go-style duration (`720h`, `2h20m`, `5m`, `0s`) as timedelta; no days. ValueError says what is allowed."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds like 720h, 2h20m or 30s")
    try:
        return timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in _PARTS.findall(text)))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any duration that can be counted") from None


def format_duration(span: timedelta) -> str:
    """The shortest Go-style form: `2h20m`, `30s`, `0s`."""
    seconds = int(span.total_seconds())
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return "".join(f"{n}{u}" for n, u in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}),
]
Amount = Annotated[str, Field(pattern=AMOUNT_PATTERN, max_length=8)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]
RuleName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Text = Annotated[str, Field(max_length=TEXT_LENGTH)]
Uid = Annotated[str, Field(min_length=1, max_length=128)]
LabelKey = Annotated[str, Field(min_length=1, max_length=LABEL_KEY_LENGTH)]
LabelValue = Annotated[str, Field(max_length=LABEL_VALUE_LENGTH)]
Time = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]


class SpecModel(BaseModel):
    """A part of a spec: frozen, camelCase on the wire, unknown fields are errors."""

    model_config = ConfigDict(alias_generator=_camel, populate_by_name=True, frozen=True, extra="forbid")

    def wire(self) -> dict[str, Any]:
        """As JSON of the API: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(BaseModel):
    """A part of a status: what a newer exuvia added is passed over."""

    model_config = ConfigDict(alias_generator=_camel, populate_by_name=True, frozen=True, extra="ignore")

    def wire(self) -> dict[str, Any]:
        """As JSON of the API: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class LabelSelectorRequirement(SpecModel):
    """One expression of a label selector."""

    key: LabelKey
    """The label's key."""
    operator: Annotated[str, Field(pattern="^(In|NotIn|Exists|DoesNotExist)$", max_length=12)]
    """In, NotIn, Exists or DoesNotExist. NotIn and DoesNotExist hold where the key is absent."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """The values that In and NotIn compare with; unset for Exists and DoesNotExist."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it. NotIn and DoesNotExist hold where the key is absent."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values if self.key in labels else False
            case "NotIn":
                return self.key not in labels or labels[self.key] not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class LabelSelector(SpecModel):
    """A label selector of the API. Empty means all."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(default_factory=dict)
    """Labels that must all be there with these values; unset asks for none."""
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=32)] = ()
    """Expressions over labels that must all hold; unset asks for none."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy every part; `{}` is satisfied by all."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            one.matches(labels) for one in self.match_expressions
        )


class InstanceReference(SpecModel):
    """Which machine is meant. Nothing is ever done to a name alone."""

    kind: Annotated[str, Field(pattern="^(Node|VirtualMachineInstance)$", max_length=32)] = "Node"
    """Node or VirtualMachineInstance."""
    name: Name
    """The machine's name. A label only: the next machine may bear it."""
    uid: Uid
    """The UID of the machine's object. Nothing is done to another UID, whatever its name."""
    provider_id: Annotated[str, Field(max_length=512)] = ""
    """The provider's identity of the machine (`spec.providerID` of the Node); empty where it is not known."""


class PolicyReference(SpecModel):
    """Which policy, in which generation, is the reason."""

    name: Name
    """The name of the SecurityPolicy."""
    uid: Uid
    """The UID of the SecurityPolicy: one made anew under the same name is another policy."""
    generation: Annotated[int, Field(ge=0)] = 0
    """The `metadata.generation` of the policy by which it was judged."""


class ConditionStatus(StatusModel):
    """A condition of one of our objects."""

    type: Annotated[str, Field(max_length=64)]
    """What the condition is about, such as Ready or Compliant."""
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=8)]
    """True, False or Unknown."""
    reason: Annotated[str, Field(max_length=128)] = ""
    """Why it stands so, as one CamelCase word."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Why it stands so, for a person."""
    observed_generation: int = 0
    """The `metadata.generation` that it speaks of."""
    last_transition_time: Time | None = None
    """When `status` last changed."""


class BlockedStatus(StatusModel):
    """Why nothing happens now, and when it is tried again."""

    reason: Annotated[str, Field(max_length=64)]
    """Why nothing happens now: one word of the closed list in docs/events.md."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What holds it, the object by name, and what to do about it."""
    since: Time | None = None
    """Since when it is held for this reason."""
    next: Time | None = None
    """When it is tried again; unset where only a change can end it."""
    count: Annotated[int, Field(ge=0)] | None = None
    """How many machines are held for this reason (policies only)."""


class StepStatus(StatusModel):
    """One step of an operation."""

    name: Annotated[str, Field(max_length=64)]
    """What the step does."""
    started_at: Time | None = None
    """When the step was won, before its first write."""
    finished_at: Time | None = None
    """When its outcome was noted; unset while it is under way."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What came of it."""


class LedgerStatus(StatusModel):
    """The ledger entry of the last intent."""

    seq: Annotated[int, Field(ge=0)]
    """The entry's sequence number in the ledger, from 1."""
    hash: Annotated[str, Field(max_length=64)]
    """The entry's hash in the chain, in hexadecimal; at a start the ledger must hold it."""


class BeforeStatus(StatusModel):
    """What stood on the machine where our marks went; null means that it was absent."""

    unschedulable: bool = False
    """Whether the Node was cordoned by somebody else already; such a cordon stays."""
    labels: Annotated[dict[LabelKey, Annotated[str, Field(max_length=256)] | None], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """The labels that our marks replaced, with the values they had; null where there was none."""
    annotations: Annotated[dict[LabelKey, Annotated[str, Field(max_length=1024)] | None], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """The annotations that our marks replaced, with the values they had; null where there was none."""
    taints: Annotated[tuple[Annotated[str, Field(max_length=LABEL_KEY_LENGTH)], ...], Field(max_length=16)] = ()
    """Which of our taints, by key, stood there already."""


class Metadata(BaseModel):
    """What exuvia reads of an object's metadata."""

    model_config = ConfigDict(alias_generator=_camel, populate_by_name=True, frozen=True, extra="ignore")

    name: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Resource(BaseModel):
    """One of our objects as the API server holds it. Subclasses add `spec` and `status`."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    KIND: ClassVar[str]
    metadata: Metadata

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """From decoded JSON. Raises `errors.InvalidObject` naming the field."""
        try:
            return cls.model_validate(body)
        except ValidationError as trouble:
            first = trouble.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            name = (body.get("metadata") or {}).get("name", "?")
            raise errors.InvalidObject(
                f"{cls.KIND} {name}: {place}: {first['msg']}.",
                place=place,
                remedy="Correct the field and apply it again.",
            ) from trouble

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self.metadata.uid

    @property
    def deleting(self) -> bool:
        """Whether its deletion was asked for."""
        return self.metadata.deletion_timestamp is not None
