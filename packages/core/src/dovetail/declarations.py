"""What a plugin says it provides: small frozen records with ``"package.module:Name"`` targets.

Declaring imports nothing. A target is imported when somebody first uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

Target = str
"""``"package.module:Name"``: where an object lives, without importing it."""
CORE = "dovetail"

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Fields common to all declarations.

    `overrides` names the distributions (for instance ``"dovetail-models-text"``) over which this
    declaration wins when both claim the same name. Without it a double claim is an error for
    whoever asks for the name.
    """

    overrides: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The names under which a registry finds this declaration, its own first."""
        own = next(item.name for item in fields(self) if not item.kw_only)
        return (getattr(self, own),)

    @property
    def exports(self) -> Mapping[str, Target]:
        """The public names it adds to ``from dovetail import ...``."""
        return NOTHING


def by_class_name(*targets: Target | None) -> dict[str, Target]:
    """Map ``Name`` of each ``"module:Name"`` to the target; what is no such string is left out, and
    what the core exports itself."""
    return {
        target.partition(":")[2]: target
        for target in targets
        if isinstance(target, str) and not in_core(target)
    }


def package_of(target: Target) -> str:
    """The top-level package in which `target` lives.

    >>> package_of("acme_models.bert:AcmeBert")
    'acme_models'
    """
    return target.partition(":")[0].partition(".")[0] if isinstance(target, str) else ""


def in_core(target: Target) -> bool:
    """Whether `target` lives in the core, as a tokenizer that needs no class of its own does."""
    return package_of(target) == CORE


@dataclass(frozen=True)
class ModelDeclaration(Declaration):
    """One architecture.

    `auto` maps an auto class to the class it picks: ``{"AutoModelForCausalLM":
    "pkg.llama.modeling:LlamaForCausalLM"}``. `models` lists the public classes that no auto class
    picks. `aliases` gives further public names their targets.
    """

    model_type: str
    config: Target
    auto: Mapping[str, Target] = field(default_factory=lambda: NOTHING)
    models: tuple[Target, ...] = ()
    tokenizer: Target | None = None
    image_processor: Target | None = None
    video_processor: Target | None = None
    feature_extractor: Target | None = None
    processor: Target | None = None
    aliases: Mapping[str, Target] = field(default_factory=lambda: NOTHING)

    @property
    def exports(self) -> Mapping[str, Target]:
        """Config, models, tokenizer, processors and aliases; not what it borrows from a package in
        which neither config nor models live."""
        own = by_class_name(self.config, *self.auto.values(), *self.models)
        homes = {package_of(target) for target in own.values()}
        tools = by_class_name(
            self.tokenizer,
            self.image_processor,
            self.video_processor,
            self.feature_extractor,
            self.processor,
        ) | dict(self.aliases)
        return own | {
            name: target for name, target in tools.items() if package_of(target) in homes | {CORE}
        }


@dataclass(frozen=True)
class PipelineDeclaration(Declaration):
    """One task of ``pipeline(task)``.

    `auto_models` are tried in order; `default_model` is a Hub id (optionally ``id@revision``);
    `inputs` is one of ``text``, ``image``, ``video``, ``audio``, ``multimodal``. `aliases` are
    further names of the same task.
    """

    task: str
    pipeline: Target
    auto_models: tuple[str, ...]
    inputs: str = "text"
    default_model: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The task and its aliases."""
        return (self.task, *self.aliases)

    @property
    def exports(self) -> Mapping[str, Target]:
        """The pipeline class."""
        return by_class_name(self.pipeline)


@dataclass(frozen=True)
class QuantizerDeclaration(Declaration):
    """One quantization method, named as in ``quantization_config["quant_method"]``."""

    method: str
    quantizer: Target
    config: Target

    @property
    def exports(self) -> Mapping[str, Target]:
        """The quantizer and its config."""
        return by_class_name(self.quantizer, self.config)


@dataclass(frozen=True)
class AttentionDeclaration(Declaration):
    """One attention implementation, chosen by ``attn_implementation=name``.

    The function has the signature of `dovetail.layers.attention.sdpa_attention`.
    """

    name: str
    function: Target


@dataclass(frozen=True)
class StrategyDeclaration(Declaration):
    """One way to generate: a subclass of `dovetail.generation.strategies.Strategy`."""

    name: str
    strategy: Target


@dataclass(frozen=True)
class CacheDeclaration(Declaration):
    """One kind of cache, chosen by ``cache_implementation=name``.

    The function takes the model, the `GenerationConfig`, the rows of the batch and the longest
    text, and returns a `dovetail.caches.Cache`. The name ``"quantized/backend"`` is what
    ``cache_config={"backend": "backend"}`` chooses.
    """

    name: str
    build: Target


@dataclass(frozen=True)
class CheckDeclaration(Declaration):
    """One thing that ``dovetail doctor`` looks at.

    The function takes nothing and returns a list of `dovetail.cli.checks.Finding`.
    """

    name: str
    check: Target


@dataclass(frozen=True)
class ToolDeclaration(Declaration):
    """One tool that agents may use by name."""

    name: str
    tool: Target


@dataclass(frozen=True)
class EngineDeclaration(Declaration):
    """One engine that answers an agent's messages."""

    name: str
    engine: Target

    @property
    def exports(self) -> Mapping[str, Target]:
        """The engine class."""
        return by_class_name(self.engine)


@dataclass(frozen=True)
class CommandDeclaration(Declaration):
    """One subcommand of ``dovetail``: the target is a `click.Command`, imported when it runs."""

    name: str
    command: Target
    help: str


@dataclass(frozen=True)
class CallbackDeclaration(Declaration):
    """One training callback, chosen by name (``report_to``)."""

    name: str
    callback: Target

    @property
    def exports(self) -> Mapping[str, Target]:
        """The callback class."""
        return by_class_name(self.callback)


@dataclass(frozen=True)
class ConverterDeclaration(Declaration):
    """One converter between an original checkpoint layout and the Hub's.

    `layout` names the original, for instance ``"meta"`` or ``"tensorflow"``, `converter` is a
    `dovetail.converting.Layout`, and `summary` says in a few words what it reads and writes.
    """

    model_type: str
    layout: str
    converter: Target
    summary: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """``"model_type/layout"``."""
        return (f"{self.model_type}/{self.layout}",)


@dataclass(frozen=True)
class NamesDeclaration(Declaration):
    """Further public names of a plugin, importable as ``from dovetail import NAME``."""

    names: Mapping[str, Target]

    @property
    def keys(self) -> tuple[str, ...]:
        """None: no registry holds it."""
        return ()

    @property
    def exports(self) -> Mapping[str, Target]:
        """The names themselves."""
        return self.names


def family(
    model_type: str,
    package: str,
    prefix: str,
    heads: tuple[str, ...],
    *,
    auto: Mapping[str, str] = NOTHING,
    models: tuple[str, ...] = ("PreTrainedModel",),
    tokenizer: str | None = None,
    image_processor: str | None = None,
    feature_extractor: str | None = None,
    processor: str | None = None,
    aliases: Mapping[str, str] = NOTHING,
) -> ModelDeclaration:
    """Declare a folder ``package`` in the house layout.

    Its modules are `configuration.py`, `modeling.py` and, with a `tokenizer`, `tokenization.py`,
    with an `image_processor`, `image_processing.py`, with a `feature_extractor`,
    `feature_extraction.py`, with a `processor`, `processing.py`. One of another family is given as
    ``"package.module:Name"``. A tokenizer and an image processor are also found by the name with
    ``Fast`` at its end.

    `heads` are suffixes after `prefix`: ``"Model"`` is picked by ``AutoModel`` and ``"ForX"`` by
    ``AutoModelForX``. `auto` adds or replaces picks (auto class to class name), `models` are
    suffixes of public classes that no auto class picks. `aliases` map further public names to class
    names in `modeling.py`, or to ``module:Name`` within `package`.

    >>> family("llama", "pkg.llama", "Llama", ("Model", "ForCausalLM")).auto["AutoModelForCausalLM"]
    'pkg.llama.modeling:LlamaForCausalLM'
    """
    modeling = f"{package}.modeling:"
    picks = {"AutoModel" + head.removeprefix("Model"): modeling + prefix + head for head in heads}
    picks |= {auto_class: modeling + name for auto_class, name in auto.items()}
    extra = {
        name: f"{package}.{target}" if ":" in target else modeling + target
        for name, target in aliases.items()
    }
    tokenizer = _within(package, "tokenization", tokenizer)
    image_processor = _within(package, "image_processing", image_processor)
    for target in (tokenizer, image_processor):
        if target is not None and not in_core(target):
            extra.setdefault(f"{target.rpartition(':')[2].removesuffix('Fast')}Fast", target)
    return ModelDeclaration(
        model_type=model_type,
        config=f"{package}.configuration:{prefix}Config",
        auto=picks,
        models=tuple(modeling + prefix + suffix for suffix in models),
        tokenizer=tokenizer,
        image_processor=image_processor,
        feature_extractor=_within(package, "feature_extraction", feature_extractor),
        processor=_within(package, "processing", processor),
        aliases=extra,
    )


def _within(package: str, module: str, name: str | None) -> Target | None:
    """The target of a class in the house layout; what is a target already stays."""
    return name if name is None or ":" in name else f"{package}.{module}:{name}"
