"""What of a job is not for every eye: values under names that tell of secrets, and credentials.

A value is hidden by the name that it stands under, as a field of a mapping, as the second of a pair
or as `{"name": …, "value": …}`; and a text hides what looks like a credential in it. What a job's
payload hides is hidden in all else that the job shows as well.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Any
from urllib.parse import quote, quote_plus

from job_processor.errors import InvalidArgumentError

REDACTED = "[redacted]"
"""Stands where a value was."""

SENSITIVE = re.compile(
    # anywhere in a name
    r"pass_?(?:word|wd|phrase|code|wort|key)|secret|token|credential|cookie|session|[cx]srf|authori[sz]|"
    r"authenti|signature|(?:api|private|access|signing|encryption|shared|master|ssh|hmac)_?key|"
    r"credit_?card|card_?(?:number|no)|account_?number|"
    r"(?:database|db|redis|mongo(?:db)?|postgres|amqp|broker|connection|conn|webhook|hook)"
    r"_?(?:ur[li]|dsn|str(?:ing)?)|"
    r"mot_?de_?passe|code_?secret|cle_?(?:api|privee|secrete|d_?acces)|jeton|identifiants|"
    r"(?:numero|no|num)_?(?:de_?)?carte|carte_?(?:bancaire|bleue)|cryptogramme|securite_?sociale|"
    # words of their own
    r"(?<![a-z0-9])pass$|(?<![a-z0-9])(?:pwd|pw|mdp|auth|oauth2?|bearer|jwt|pin|otp|totp|mfa|sid|sig|dsn|pem|pan|"
    r"cvc2?|cvv2?|iban|bic|ssn|nir)(?![a-z0-9])"
)
"""Matches a name whose value is not shown, in lower case with `_` between its words."""

_SHORTEST = 3  # characters; a shorter secret is found by chance anywhere
_LONG = 4  # characters; a shorter secret counts as a whole word only
_TOLD = 2000  # characters of a text that is looked through for values
_LEAVES = 1000  # values that are looked for in it
_NAMES = ("name", "key", "header", "field")
"""Fields that name the value beside them."""
_VALUES = ("value", "result")
"""Fields of such a value; the second is that of a step."""
_OF_A_JOB = (
    *("payload", "output", "error", "result", "attempts", "progress", "log", "state"),
    "steps",
)
"""Fields of a job that may repeat what its payload has."""

_SCHEMES = ("basic", "bearer", "digest", "token", "apikey")
"""With which the value of a header begins."""

_SCHEME_PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.\-]*://[^\s:/?#@]*:)([^\s/?#@]+)(?=@)")
_PARAMETER = re.compile(r"([?&;])([\w.\-%\[\]]+)=([^\s&;#\"'<>]+)")
_HEADER = re.compile(r"(?i)\b(bearer|authorization['\"]?\s*[:=]\s*['\"]?\w+)\s+([\w.~+/=\-]{8,})")
_JWT = re.compile(r"()()\beyJ[\w\-]{5,}\.[\w\-]{5,}\.[\w\-]*")
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.+?)(?=-----END|\Z)", re.DOTALL)


class Redaction:
    """Hides values by names that a pattern matches, and credentials in texts.

    pattern: a regular expression, compiled or not, searched for in names as they are written; None:
        `SENSITIVE`.
    Raises InvalidArgumentError.
    """

    def __init__(self, pattern: str | re.Pattern[str] | None = None) -> None:
        self._hides: Callable[[str], bool]
        try:
            own = None if pattern is None else re.compile(pattern)
        except (re.error, TypeError) as error:
            allowed = "allowed is a regular expression that names of fields are searched for"
            raise InvalidArgumentError("redact", pattern, allowed) from error
        self._hides = _is_sensitive if own is None else lambda name: own.search(name) is not None
        self._candidates = _candidates() if own is None else (own.pattern, _options(own))

    def hides(self, name: object) -> bool:
        """Tell whether the value under this name is not shown; a dotted path: any part of it."""
        return isinstance(name, str) and (
            self._hides(name) or ("." in name and any(map(self._hides, name.split("."))))
        )

    @property
    def candidates(self) -> tuple[str, str]:
        """A regular expression, with its options, for a database that searches names by itself.

        It finds each name that hides its value, and some that do not: those are for `hides`.
        """
        return self._candidates

    def fields(self, value: Any) -> Any:
        """Return a copy of plain values, at any depth without those that are hidden."""
        if isinstance(value, Mapping):
            named = self._names_its_value(value)
            return {
                key: REDACTED
                if self.hides(key) or (named and key in _VALUES)
                else self.fields(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            if self._is_pair(value):
                return [value[0], REDACTED]
            return [self.fields(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return a text without what looks like a credential in it."""
        for pattern, secret in self._credentials(text):
            text = pattern.sub(secret, text)
        return text

    def shown(self, value: Any) -> Any:
        """Return what is shown of plain values in which there may be jobs, as in `job_json`.

        Each job has its fields, and nowhere in them what its payload hides.
        """
        if isinstance(value, list | tuple):
            return [self.shown(item) for item in value]
        if not isinstance(value, Mapping):
            return self.fields(value)
        if "payload" not in value:
            return {
                key: REDACTED if self.hides(key) else self.shown(item)
                for key, item in value.items()
            }
        secrets = self.secrets(value["payload"])
        return {
            key: without(self.fields(item), secrets) if key in _OF_A_JOB else self.fields(item)
            for key, item in value.items()
        }

    def restored(self, value: Any, original: Any) -> Any:
        """Return a copy of a payload in which what was hidden has the original's values again.

        Raises InvalidArgumentError for what is hidden and not in the original.
        """
        secrets = self.secrets(original)

        def is_shown(value: Any, original: Any) -> bool:
            return bool(without(self.fields(original), secrets) == value)

        return self._restored(value, original, "payload", is_shown)

    def _restored(
        self, value: Any, original: Any, path: str, is_shown: Callable[[Any, Any], bool]
    ) -> Any:
        if is_shown(value, original):
            return original
        if isinstance(value, list):
            rest = original[: len(value)] if isinstance(original, list) else []
            pair = self._is_pair(value) and value[1] == REDACTED
            if pair:
                return [value[0], self._hidden(f"{path}.1", self._is_pair(rest), rest, 1)]
            return [
                self._restored(item, its, f"{path}.{n}", is_shown)
                for n, (item, its) in enumerate(zip_longest(value, rest))
            ]
        if not isinstance(value, Mapping):
            if isinstance(value, str) and REDACTED in value and isinstance(original, str):
                self._refuse(path)
            return value
        known: Mapping[Any, Any] = original if isinstance(original, Mapping) else {}
        named = self._names_its_value(value)
        restored = {}
        for key, item in value.items():
            if item == REDACTED and (self.hides(key) or (named and key in _VALUES)):
                restored[key] = self._hidden(f"{path}.{key}", key in known, known, key)
            else:
                restored[key] = self._restored(item, known.get(key), f"{path}.{key}", is_shown)
        return restored

    def _hidden(self, path: str, known: bool, original: Any, key: Any) -> Any:
        if not known:
            self._refuse(path)
        return original[key]

    def _refuse(self, path: str) -> None:
        allowed = "allowed is a value; the job has none to put in its place"
        raise InvalidArgumentError(path, REDACTED, allowed)

    def secrets(self, value: Any) -> list[str]:
        """Return the texts that are hidden in plain values, the longest first."""
        return sorted(set(self._secrets(value, False)), key=len, reverse=True)

    def _secrets(self, value: Any, hidden: bool) -> Iterator[str]:
        if isinstance(value, Mapping):
            named = self._names_its_value(value)
            for key, item in value.items():
                yield from self._secrets(
                    item, hidden or self.hides(key) or (named and key in _VALUES)
                )
        elif isinstance(value, list | tuple):
            if self._is_pair(value):
                yield from self._secrets(value[1], True)
            else:
                for item in value:
                    yield from self._secrets(item, hidden)
        elif hidden:
            yield from _texts_of(value)
        elif isinstance(value, str):
            yield from self._secrets_in(value)

    def _secrets_in(self, text: str) -> Iterator[str]:
        for pattern, _ in self._credentials(text):
            for match in pattern.finditer(text):
                if pattern is not _PARAMETER:
                    yield from _texts_of(match[2] or match[0])
                elif self.hides(match[2]):
                    yield from _texts_of(match[3])

    def _names_its_value(self, value: Mapping[Any, Any]) -> bool:
        has_one = any(key in value for key in _VALUES)
        return has_one and any(self.hides(value.get(name)) for name in _NAMES)

    def _is_pair(self, value: list[Any] | tuple[Any, ...]) -> bool:
        return len(value) == 2 and self.hides(value[0]) and not isinstance(value[1], Mapping)

    def _credentials(
        self, text: str
    ) -> Iterator[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        """Yield what to look for in a text, each with what stands in its place."""
        if "://" in text:
            yield _SCHEME_PASSWORD, _kept_and_hidden
        if "=" in text:
            yield _PARAMETER, self._parameter
        if "earer" in text or "EARER" in text or "uthorization" in text:
            yield _HEADER, lambda match: f"{match[1]} {REDACTED}"
        if "eyJ" in text:
            yield _JWT, lambda _: REDACTED
        if "PRIVATE KEY" in text:
            yield _PRIVATE_KEY, _kept_and_hidden

    def _parameter(self, match: re.Match[str]) -> str:
        if not self.hides(match[2]):
            return match[0]
        return f"{match[1]}{match[2]}={REDACTED}"


def _texts_of(value: Any) -> Iterator[str]:
    """Yield the texts by which a hidden value would be known."""
    if value is None or isinstance(value, bool):
        return
    text = value.decode("utf-8", "ignore") if isinstance(value, bytes) else str(value)
    scheme, _, credential = text.partition(" ")
    for each in (text, credential if scheme.lower() in _SCHEMES else ""):
        if len(each) >= _SHORTEST:
            yield each


def without(value: Any, secrets: Iterable[str]) -> Any:
    """Return a copy of plain values in whose texts none of the secrets occurs.

    Nor in the forms in which texts quote others: of `repr`, of JSON, of an address.
    """
    known = tuple(secrets)
    return _without(value, _any_of(known)) if known else value


def without_values(text: str, values: Any) -> str:
    """Return a text that somebody has written about plain values, without those values."""
    return without(text[:_TOLD], sorted(islice(_leaves(values), _LEAVES)))  # type: ignore[no-any-return]  # a text of a text


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield from filter(None, (str(value), repr(value)))
        if isinstance(value, int):
            yield repr(float(value))


def _without(value: Any, secrets: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return secrets.sub(REDACTED, value)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return _without(text, secrets) if secrets.search(text) else value
    if isinstance(value, Mapping):
        return {_without(key, secrets): _without(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without(item, secrets) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return REDACTED if secrets.fullmatch(str(value)) else value
    return value


@lru_cache(maxsize=256)
def _any_of(secrets: tuple[str, ...]) -> re.Pattern[str]:
    forms = {form for secret in secrets for form in _forms(secret)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile(
        "|".join(
            re.escape(form) if len(form) >= _LONG else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in longest_first
        )
    )


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield repr(secret)[1:-1]
    yield repr(repr(secret))[2:-2]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    encodable = secret.encode("utf-8", "replace")
    yield repr(encodable)[2:-1]
    yield quote(encodable, safe="")
    yield quote(encodable)
    yield quote_plus(encodable)


def _kept_and_hidden(match: re.Match[str]) -> str:
    return f"{match[1]}{REDACTED}"


@lru_cache(maxsize=4096)
def _is_sensitive(name: str) -> bool:
    return SENSITIVE.search(_words(name[:200])) is not None


def _candidates() -> tuple[str, str]:
    """Return `SENSITIVE` for names as they are written: without its words' borders, in any case.

    And whatever is not ASCII, of which `_words` may make anything.
    """
    loose = re.sub(r"\(\?<?![^)]*\)|\$", "", SENSITIVE.pattern)
    return r"[^\x00-\x7f]|" + loose.replace("_?", r"[\W_]*"), "i"


def _options(pattern: re.Pattern[str]) -> str:
    flags = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}
    return "".join(option for flag, option in flags.items() if pattern.flags & flag)


def _words(name: str) -> str:
    """Return a name in plain letters, lower case, with `_` between its words.

    Letters of full width, accents and what has no width are ways to write the same name.
    """
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name)
        if unicodedata.category(letter) not in ("Mn", "Cf")
    )
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    return re.sub(r"[\W_]+", "_", parted).lower()
