"""From a job's data to the arguments of a function."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from streamq.errors import ConfigError, InvalidArguments
from streamq.job import Job
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.event import Event

MOST_PROBLEMS = 10
"""The most arguments that do not fit that an error lists."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Binder = Callable[[Job], Arguments]


def compile_binder(function: Callable[..., Any], name: str) -> Binder:
    """How to make ``function``'s arguments out of a job's data.

    Each parameter takes the field of its name, validated against its annotation as
    pydantic does in its lax mode (so that ``"256"`` from a foreign producer fits
    ``int``). A parameter annotated :class:`Job` takes the job. Fields without a
    parameter are left out, unless the function has ``**kwargs``: other groups may
    need what this one does not. What a :func:`functools.partial` holds by name stays as
    it is.

    Raises:
        ConfigError: the signature cannot be filled by name.
    """
    try:
        hints = typing.get_type_hints(plain(function), include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"the annotations of {name} cannot be read: {printable(error, 200)}; "
            "import what they name at module level"
        ) from None
    held = function.keywords if isinstance(function, functools.partial) else {}
    job_parameter: str | None = None
    job_position = False
    fields: dict[str, tuple[Any, bool]] = {}
    takes_rest = False
    event: tuple[str, type[Event]] | None = None
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name, Any)
        if parameter.name in held:
            continue
        if hint is Job or (hint is Any and parameter.name == "job"):
            job_parameter = parameter.name
            job_position = parameter.kind is parameter.POSITIONAL_ONLY
        elif is_event(hint):
            if event is not None:
                raise ConfigError(f"{name} takes two events: a job has one")
            event = parameter.name, hint
        elif parameter.kind is parameter.VAR_KEYWORD:
            takes_rest = True
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise ConfigError(
                f"{name} has the positional parameter {parameter.name!r}: "
                "the job's data is passed by name"
            )
        elif Job in typing.get_args(hint):
            raise ConfigError(
                f"{name} has the parameter {parameter.name!r} of another type than Job: "
                f"write {parameter.name}: Job, and for a list of jobs give batch="
            )
        else:
            fields[parameter.name] = (hint, parameter.default is parameter.empty)
    if not fields and not takes_rest and event is None:
        if job_parameter is None:
            return _nothing
        if job_position:
            return only_job
        return lambda job: ((), {job_parameter: job})
    if event is None:
        bind_data = _data_binder(name, fields, takes_rest, held)
    elif fields or takes_rest:
        raise ConfigError(f"{name} takes an event, which is all of the data: leave out the rest")
    else:
        bind_data = _event_binder(*event)
    if job_parameter is None:
        return bind_data

    def bind(job: Job) -> Arguments:
        args, kwargs = bind_data(job)
        if job_position:
            return (job,), kwargs
        kwargs[job_parameter] = job
        return args, kwargs

    return bind


def _data_binder(
    name: str, fields: Mapping[str, tuple[Any, bool]], takes_rest: bool, held: Iterable[str]
) -> Binder:
    # Imported here: it takes long, and most commands need no handler.
    import pydantic
    from typing_extensions import TypedDict

    make_shape: Any = TypedDict  # a type checker wants the fields spelled out
    try:
        shape = make_shape(
            "Arguments",
            {
                field: typing.Required[hint] if required else typing.NotRequired[hint]
                for field, (hint, required) in fields.items()
            },
        )
        shape.__pydantic_config__ = pydantic.ConfigDict(
            arbitrary_types_allowed=True, extra="allow" if takes_rest else "ignore"
        )
        adapter: pydantic.TypeAdapter[dict[str, Any]] = pydantic.TypeAdapter(shape)
        check: Callable[[Any], dict[str, Any]] = adapter.validator.validate_python
    except (pydantic.PydanticUserError, pydantic.PydanticUndefinedAnnotation, TypeError) as error:
        raise ConfigError(
            f"the annotations of {name} cannot be checked: "
            f"{printable(str(error).splitlines()[0], 200)}"
        ) from None
    reserved = frozenset(held) if takes_rest else frozenset()

    def bind(job: Job) -> Arguments:
        data = job.data
        if not isinstance(data, dict):
            shown = type(data).__name__ if job.cipher else printable(data, 60)
            raise InvalidArguments(f"the data is not an object with fields but {shown}")
        if reserved:
            data = {field: data[field] for field in data if field not in reserved}
        try:
            return (), check(data)
        except pydantic.ValidationError as error:
            raise InvalidArguments(_explain(error, job)) from None

    return bind


def _event_binder(parameter: str, event: type[Event]) -> Binder:
    import pydantic

    check = event.__pydantic_validator__.validate_python

    def bind(job: Job) -> Arguments:
        try:
            return (), {parameter: check(job.data)}
        except pydantic.ValidationError as error:
            raise InvalidArguments(_explain(error, job)) from None

    return bind


def only_job(job: Job) -> Arguments:
    """The arguments of a handler that takes nothing but the job, or a list of jobs."""
    return (job,), {}


def _nothing(job: Job) -> Arguments:
    return (), {}


def is_event(hint: object) -> bool:
    """Whether a parameter so annotated takes a job's data as an event."""
    from streamq.event import Event

    return inspect.isclass(hint) and issubclass(hint, Event)


def event_of(function: Callable[..., Any]) -> type[Event] | None:
    """The class of the event that a handler takes, if it takes one."""
    try:
        hints = typing.get_type_hints(plain(function))
    except (NameError, TypeError, AttributeError):
        return None
    for name in inspect.signature(function).parameters:
        hint = hints.get(name)
        if is_event(hint):
            return cast("type[Event]", hint)
    return None


def plain(function: Callable[..., Any]) -> Any:
    """The function itself, out of partials and instances that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _explain(error: Any, job: Job) -> str:
    problems = error.errors(include_url=False, include_context=False)
    parts = []
    for problem in problems[:MOST_PROBLEMS]:
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "missing":
            parts.append(f"{where} is missing")
        else:
            # What is encrypted in Redis is not to stand there as an error.
            got = "" if job.cipher else f" (got {_shown(problem['input'])})"
            parts.append(f"{where}: {problem['msg']}{got}")
    if len(problems) > MOST_PROBLEMS:
        parts.append(f"and {len(problems) - MOST_PROBLEMS} more")
    return printable("; ".join(parts))


def _shown(value: object) -> str:
    try:
        return printable(repr(value), 60)
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
