"""A remote model and its server: the requests, the suggestions, and each way to fail."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trustme

from llmsuggestd import formats
from llmsuggestd.config import RemoteSettings
from llmsuggestd.engine import protocol
from llmsuggestd.formats import LLMSTEP, Format
from llmsuggestd.remote import failures
from llmsuggestd.remote.address import NotAllowed, parse
from llmsuggestd.remote.model import RemoteModel, Target
from tests.support.completions import Completions, completions, free_port
from tests.support.engine_requests import request

TWO_TOKENS = (("simp_all", (-0.5, -0.1)), ("exact ⟨hp, hq⟩", (-0.2, -0.24)))
GOAL = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
ALLOWED = RemoteSettings(allow_remote=True)


@pytest.fixture
def server() -> Iterator[Completions]:
    with completions() as running:
        yield running


@contextlib.asynccontextmanager
async def remote(
    server: Completions,
    *,
    form: Format = LLMSTEP,
    url: str | None = None,
    model: str = "prover",
    key: str | None = None,
    **settings: Any,
) -> AsyncIterator[RemoteModel]:
    target = Target("lab", parse(url or server.url), model, form)
    served = RemoteModel(target, RemoteSettings(**settings), key=lambda: key)
    try:
        yield served
    finally:
        await served.close()


def question(*goals: str, **more: Any) -> protocol.Suggest:
    return request(*(goals or [GOAL]), **more)


async def texts(model: RemoteModel, asked: protocol.Suggest) -> list[str]:
    (found,) = (await model.ask(asked)).result.found
    return [one.text for one in found.suggestions]


async def test_suggestions_are_ranked_by_the_servers_log_probabilities(
    server: Completions,
) -> None:
    async with remote(server) as model:
        answer = await model.ask(question())
    (found,) = answer.result.found
    assert [(one.text, round(one.score, 6)) for one in found.suggestions] == [
        ("exact And.intro hp hq", -0.2), ("exact ⟨hp, hq⟩", -0.22), ("simp_all", -0.3)
    ]  # fmt: skip
    assert answer.sent_to == f"http://127.0.0.1:{server.port}"
    assert answer.model is None


async def test_the_prompt_and_the_options_are_those_of_the_format(server: Completions) -> None:
    form = formats.FORMATS["ntp-mathlib-st"]
    async with remote(server, form=form) as model:
        await model.ask(question(prefix="rw"))
    sent = server.asked[-1]
    assert sent["prompt"].endswith(f"[STATE]\n{GOAL}\n[/STATE]\n[TAC]\nrw")
    assert sent["stop"] == ["[/TAC]"]
    assert sent["model"] == "prover"
    assert sent["max_tokens"] == 16


async def test_a_server_that_ignores_n_is_asked_n_times(server: Completions) -> None:
    server.many = False
    async with remote(server) as model:
        assert len(await texts(model, question())) == 3


async def test_a_server_that_limits_n_is_asked_for_fewer(server: Completions) -> None:
    server.slots = 2
    async with remote(server) as model:
        assert len(await texts(model, question())) == 3
        refused = len(server.asked)
        assert len(await texts(model, question(prefix="h"))) == 3
    assert all(sent.get("n", 1) <= 2 for sent in server.asked[refused:])


async def test_the_options_of_sampling_are_passed_on(server: Completions) -> None:
    async with remote(server) as model:
        await model.ask(question(mode="sample", temperature=0.3, seed=7, n=4))
    sent = server.asked[-1]
    assert (sent["n"], sent["temperature"], sent["seed"]) == (4, 0.3, 7)


async def test_beams_are_those_of_our_search(server: Completions) -> None:
    server.ids = True
    server.continuations = (*TWO_TOKENS, ("constructor", (-0.9, -0.1)))
    async with remote(server) as model:
        answer = await model.ask(question())
    (found,) = answer.result.found
    assert [(one.text, round(one.score, 6), one.finished) for one in found.suggestions] == [
        ("exact ⟨hp, hq⟩", -0.22, True), ("simp_all", -0.3, True), ("constructor", -0.5, True)
    ]  # fmt: skip
    assert server.tokenized[-1] == f"[GOAL]{GOAL}[PROOFSTEP]"
    assert [len(sent["prompt"]) for sent in server.asked[-2:]] == [1, 3]


async def test_beams_end_with_a_formats_stop_string(server: Completions) -> None:
    server.ids = True
    server.continuations = (("rfl[/TAC]", (-0.1, -9.0)), ("simp[/TAC]", (-0.5, -9.0)))
    async with remote(server, form=formats.FORMATS["ntp-mathlib-st"]) as model:
        answer = await model.ask(question(n=2))
    (found,) = answer.result.found
    assert [(one.text, round(one.score, 6), one.finished) for one in found.suggestions] == [
        ("rfl", -0.1, True), ("simp", -0.5, True)
    ]  # fmt: skip


async def test_beams_have_tokens_that_end_inside_a_character(server: Completions) -> None:
    server.ids = True
    async with remote(server) as model:
        await model.load()
        server.faults.part_of_a_character = 101  # the second token of the likeliest suggestion
        assert (await texts(model, question()))[0] == "exact And.intro hp hq"
    (again,) = [sent for sent in server.asked if "logit_bias" in sent]
    assert again["logit_bias"] == {"0": 100}
    assert len(again["prompt"]) == 1  # the only beam whose answer lacks them


@pytest.mark.parametrize("name", ["llmstep", "ntp-mathlib-st"])
@pytest.mark.parametrize("max_tokens", [2, 12])
async def test_beams_of_equal_scores(server: Completions, name: str, max_tokens: int) -> None:
    server.ids = True
    scores = (-0.5, *[-0.25] * 3)
    server.continuations = tuple((f"t{i}", scores[: 2 + i % 3]) for i in range(20))
    async with remote(server, form=formats.FORMATS[name]) as model:
        found = await texts(model, question(n=5, max_tokens=max_tokens))
    assert len(set(found)) == 5
    assert set(found) <= {f"t{i}" for i in range(20)}


async def test_one_refused_question_does_not_limit_the_next(server: Completions) -> None:
    async with remote(server) as model:
        await model.load()
        server.faults.statuses = [(400, {})] * 9
        with pytest.raises(failures.Refused):
            await model.ask(question(mode="sample", n=4))
        server.faults.statuses.clear()
        await model.ask(question(mode="sample", n=4, max_tokens=7))
    # requests that were cancelled may still arrive
    assert [sent["n"] for sent in server.asked if sent["max_tokens"] == 7] == [4]


async def test_a_busy_helper_call_does_not_end_the_beam_search(server: Completions) -> None:
    server.ids = True
    async with remote(server) as model:
        await model.load()
        server.faults.helper_statuses = [503]
        with pytest.raises(failures.Broken):
            await model.ask(question())
        await model.ask(question())
    assert isinstance(server.asked[-1]["prompt"], list)


async def test_beams_are_cut_off_at_the_limit(server: Completions) -> None:
    server.ids = True
    async with remote(server) as model:
        answer = await model.ask(question(max_tokens=1, n=2))
    (found,) = answer.result.found
    assert [(one.text, one.finished) for one in found.suggestions] == [
        ("exact And.intro hp hq", False), ("exact ⟨hp, hq⟩", False)
    ]  # fmt: skip


async def test_candidates_are_drawn_if_the_server_refuses_a_step(server: Completions) -> None:
    server.ids = True
    async with remote(server) as model:
        await model.load()
        server.faults.statuses = [(400, {})]
        assert len(await texts(model, question())) == 3
        await model.ask(question())
    assert sum(isinstance(sent["prompt"], list) for sent in server.asked) == 2


async def test_trailing_spaces_of_the_prefix_are_generated_by_the_model(
    server: Completions,
) -> None:
    server.continuations = ((" [hp]", (-0.1,)), ("_all", (-0.1,)))
    async with remote(server) as model:
        assert await texts(model, question(prefix="simp ")) == ["simp [hp]"]
        assert all(sent["prompt"].endswith("simp") for sent in server.asked[1:])
        server.continuations = (("[hp]", (-0.1,)),)  # without the space
        assert await texts(model, question(prefix="simp ")) == ["simp [hp]"]


async def test_a_goal_that_is_too_long_loses_hypotheses(server: Completions) -> None:
    server.faults.longest = 300
    long = "\n".join(f"h{i} : p ∨ q" for i in range(60)) + "\n⊢ p ∨ q"
    async with remote(server) as model:
        answer = await model.ask(question(long))
    assert answer.result.found[0].truncated
    assert answer.result.found[0].suggestions
    assert server.asked[-1]["prompt"].endswith("h59 : p ∨ q\n⊢ p ∨ q[PROOFSTEP]")


async def test_several_goals_are_asked_about_at_the_same_time(server: Completions) -> None:
    async with remote(server) as model:
        await model.load()
        server.faults.seconds = 0.5
        answer = await model.ask(question("⊢ p", "⊢ q", "⊢ r", "⊢ s", n=1))
    assert server.most_at_a_time > 1
    assert len(answer.result.found) == 4


async def test_cancelling_closes_the_connection(server: Completions) -> None:
    async with remote(server) as model:
        await model.load()
        server.faults.seconds = 30
        asking = asyncio.create_task(model.ask(question()))
        assert await asyncio.to_thread(server.waiting.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asyncio.to_thread(server.left.wait, 10)
        assert model.failure is None


async def refused(server: Completions, **more: Any) -> failures.RemoteError:
    async with remote(server, **more) as model:
        with pytest.raises(failures.RemoteError) as raised:
            await model.ask(question())
        error = raised.value
        assert GOAL not in error.message + error.hint
        assert "\n" not in error.message
        return error


async def test_the_server_is_down(server: Completions) -> None:
    error = await refused(server, url=f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, failures.Down)
    assert "connection refused" in error.message


async def test_the_server_wants_a_key(server: Completions) -> None:
    server.key = "sesame"
    error = await refused(server)
    assert (error.code, "requires a key" in error.message) == ("remote_key", True)
    error = await refused(server, key="wrong-key")
    assert "rejects the key" in error.message
    assert "wrong-key" not in error.message + error.hint
    async with remote(server, key="sesame") as model:
        assert await texts(model, question())


async def test_the_server_lacks_the_model(server: Completions) -> None:
    error = await refused(server, model="other")
    assert "no model 'other'" in error.message
    assert "prover" in error.hint
    server.model = "a\nb\x1b[31m"
    error = await refused(server, model="other")
    assert error.hint == "give another --model"


@pytest.mark.parametrize(
    ("status", "code", "tries"),
    [
        (404, "remote_route", 1),
        (400, "remote_refused", 1),
        (302, "remote_redirect", 1),
        (429, "remote_busy", 3),
        (500, "remote_broken", 1),
        (502, "remote_broken", 3),
        (503, "remote_broken", 3),
        (504, "remote_broken", 1),
    ],
)
async def test_an_error_status_has_its_own_message(
    server: Completions, status: int, code: str, tries: int
) -> None:
    """A request is repeated only after a status that means that nothing was generated."""
    server.faults.statuses = [(status, {"Location": "http://127.0.0.1:9/"})] * 10
    error = await refused(server)
    assert error.code == code
    assert str(status) in error.message
    assert len(server.asked) == tries


async def test_a_busy_server_is_asked_again_after_the_time_that_it_names(
    server: Completions,
) -> None:
    server.faults.statuses = [(429, {"Retry-After": "1"}), (503, {})]
    async with remote(server) as model:
        began = time.monotonic()
        assert await texts(model, question())
        assert time.monotonic() - began >= 1


async def test_a_long_retry_after_is_not_waited_for(server: Completions) -> None:
    server.faults.statuses = [(429, {"Retry-After": "600"})] * 2
    assert (await refused(server)).code == "remote_busy"
    assert len(server.asked) == 1


async def test_the_server_is_slow(server: Completions) -> None:
    server.faults.seconds = 30
    error = await refused(server, timeout=0.5)
    assert (error.code, "within 0.5 s" in error.message) == ("remote_slow", True)


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"choices": []}', b"{}"])
async def test_the_answer_is_no_completion(server: Completions, body: bytes) -> None:
    server.faults.body = body
    assert (await refused(server)).code == "remote_answer"


async def test_the_answer_is_cut_off(server: Completions) -> None:
    server.faults.cut = True
    assert (await refused(server)).code == "remote_cut_off"


async def test_the_connection_ends_before_the_answer(server: Completions) -> None:
    server.faults.hang_up = True
    assert (await refused(server)).code == "remote_cut_off"
    assert len(server.asked) == 1  # the server may have generated something


async def test_the_answer_has_no_log_probabilities(server: Completions) -> None:
    server.faults.without_logprobs = True
    assert (await refused(server)).code == "remote_logprobs"
    server.faults.statuses = [(400, {})]
    server.faults.words = "logprobs is not supported for models created with logits_all=False"
    assert (await refused(server)).code == "remote_logprobs"


async def test_the_servers_tokenizer_does_not_fit_the_format(server: Completions) -> None:
    server.tokens = {"<|im_start|>": [1], "<|im_end|>": [2]}
    async with remote(server, form=formats.CHAT) as model:
        await model.load()
    server.tokens = {"<|im_start|>": [1]}
    error = await refused(server, form=formats.CHAT)
    assert (error.code, "<|im_end|>" in error.message) == ("remote_tokenizer", True)
    server.detokenized = "<unk> <unk>"
    assert (await refused(server)).code == "remote_tokenizer"


async def test_another_programs_port(server: Completions) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    mail = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with mail:
        port = mail.sockets[0].getsockname()[1]
        error = await refused(server, url=f"http://127.0.0.1:{port}")
    assert error.code in ("remote_answer", "remote_cut_off")


async def test_the_server_has_no_tls(server: Completions) -> None:
    error = await refused(server, url=f"https://127.0.0.1:{server.port}")
    assert error.code == "remote_no_tls"
    assert not server.headers


async def test_the_servers_certificate_is_not_trusted() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with completions(context) as server:
        error = await refused(server, url=f"https://127.0.0.1:{server.port}")
    assert error.code == "remote_untrusted"
    assert not server.headers


async def test_a_failure_ends_when_the_server_answers_again(server: Completions) -> None:
    async with remote(server) as model:
        server.faults.statuses = [(500, {})]
        with pytest.raises(failures.Broken):
            await model.load()
        assert isinstance(model.failure, failures.Broken)
        assert await texts(model, question())
        assert model.failure is None


async def test_nothing_is_sent_to_another_machine_without_permission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No connection is made."""

    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("aiohttp.TCPConnector.connect", connect)
    for url, settings in (
        ("https://192.0.2.1:8000", RemoteSettings()),
        ("http://192.0.2.1:8000", RemoteSettings(allow_remote=True)),
    ):
        target = Target("lab", parse(url), "prover", LLMSTEP)
        model = RemoteModel(target, settings)
        for asked in (model.load(), model.ask(question())):
            with pytest.raises(NotAllowed):
                await asked
        await model.close()


@contextlib.asynccontextmanager
async def far_away(server: Completions) -> AsyncIterator[RemoteModel]:
    """A model whose server counts as another machine. Sending goals there is allowed at first."""
    address = parse(server.url)._replace(host="192.0.2.1", encrypted=True)
    model = RemoteModel(Target("lab", address, "prover", LLMSTEP), ALLOWED)
    try:
        yield model
    finally:
        await model.close()


async def test_permission_that_is_withdrawn_ends_at_once(server: Completions) -> None:
    """This holds for a model that has answered before, and until permission is given again."""
    async with far_away(server) as model:
        assert await texts(model, question())
        sent = len(server.asked)
        model.permit(RemoteSettings())
        for _ in range(2):
            with pytest.raises(NotAllowed):
                await model.ask(question())
        assert len(server.asked) == sent
        model.permit(ALLOWED)
        assert model.failure is None
        assert await texts(model, question())


async def test_permission_that_is_withdrawn_ends_a_running_question(server: Completions) -> None:
    async with far_away(server) as model:
        await model.load()
        server.faults.seconds = 30
        asking = asyncio.create_task(model.ask(question("⊢ p", "⊢ q")))
        assert await asyncio.to_thread(server.waiting.wait, 10)
        model.permit(RemoteSettings())
        model.permit(RemoteSettings())
        with pytest.raises(NotAllowed):
            await asyncio.wait_for(asking, 5)
        assert await asyncio.to_thread(server.left.wait, 10)


async def test_permission_that_is_withdrawn_ends_a_trial(server: Completions) -> None:
    async with far_away(server) as model:
        server.faults.seconds = 30
        loading = asyncio.create_task(model.load())
        assert await asyncio.to_thread(server.waiting.wait, 10)
        model.permit(RemoteSettings())
        with pytest.raises(NotAllowed):
            await asyncio.wait_for(loading, 5)
        assert len(server.asked) == 1
