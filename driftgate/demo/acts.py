"""The four acts. Each does one thing to the world and then waits for what the product makes of it.

Rule: nothing here promotes, aborts or advances a rollout; the demo starts rollouts and looks.
"""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path
from typing import Any, Final

from driftgate import show
from driftgate.demo import looks, policies, retraining, training
from driftgate.demo.play import Play
from driftgate.demo.retraining import Result
from driftgate.demo.world import AFTER, BEFORE, Stream
from groundwork import decoders

FIRST_ROWS: Final = 6000
QUIET_LABELS: Final = 1500
REFIT_ROWS: Final = 3000
ANSWER_SECONDS: Final = 30.0
REACTION_SECONDS: Final = 45.0
TRAINING_SECONDS: Final = 90.0
ROLLOUT_SECONDS: Final = 90.0


async def a_model_at_work(play: Play) -> None:
    """Train and publish version 1, start everything, let it run until labels are joined."""
    play.screen.act(
        1,
        "A model at work",
        "A pipeline learns who pays back a loan; it is published, served by two workers, and watched.",
    )
    play.screen.waiting("version 1 is published")
    accuracy, rows = await asyncio.to_thread(first_version, play)
    detail = f"trained on {show.count(rows)} applications, right on {accuracy:.1%} of held-out ones"
    play.facts.add("version 1 is published", "registry", detail)
    play.screen.waiting("gateway, monitor and retraining receiver answer")
    receiver = await play.start_receiver()
    await play.start_ring(receiver)
    where = ", ".join(play.urls[name] for name in ("http", "operator", "monitor"))
    play.facts.add("gateway, monitor and retraining receiver answer", "ready files", where)
    play.screen.say(
        ["settings.yaml differs from the defaults:", *policies.settings_differences(policies.SETTINGS)]
    )
    play.begin_traffic()
    play.mark("traffic")
    await play.facts.until(
        "labels of version 1 reach the monitor",
        "monitor",
        functools.partial(looks.labelled, play, "1", QUIET_LABELS),
        seconds=ANSWER_SECONDS,
    )
    await play.facts.until(
        "no incident while nothing has changed",
        "monitor",
        functools.partial(looks.quiet, play),
        seconds=ANSWER_SECONDS,
    )


async def the_world_changes(play: Play) -> None:
    """Another rule and another public; the monitor notices, a training job is called and publishes."""
    play.screen.act(
        2,
        "The world changes",
        "Other people apply, and others of them pay back. Nobody tells the product.",
    )
    at = play.mark("change")
    play.client.become(AFTER)
    play.facts.add("the world changes", "client", "another rule for who pays back, and a new suburb", at)
    await play.facts.until(
        "the monitor opens an incident for version 1",
        "monitor",
        functools.partial(looks.incident, play, "1"),
        seconds=REACTION_SECONDS,
    )
    event = await play.facts.until(
        "the signed webhook reaches the receiver, which verifies it",
        "receiver",
        functools.partial(looks.noted, play, "verified", looks.verified_words),
        seconds=REACTION_SECONDS,
    )
    result = await play.facts.until(
        "version 2 is trained on the exported window, validated and published",
        "receiver",
        functools.partial(looks.noted, play, "published", looks.published_words),
        seconds=TRAINING_SECONDS,
    )
    play.results["2"] = decoders.converted(result, Result)
    play.incident = event["incident"]
    play.refits = asyncio.create_task(refit(play))


async def evidence_decides(play: Play) -> None:
    """Version 2 comes to traffic: shadow, canary, promoted."""
    play.screen.act(
        3,
        "Evidence decides",
        "The receiver has started the rollout of version 2; the pilot moves it, on paired labelled answers.",
    )
    tell_policy(play, policies.ROLLOUT)
    await follow_to_the_end(play, "2", shadow=True)
    play.mark("recovered")
    await play.facts.until(
        "users are answered as well as before the change",
        "client",
        functools.partial(looks.recovered, play),
        seconds=ANSWER_SECONDS,
    )


async def good_and_bad(play: Play) -> None:
    """The control: an equally good version is promoted, a worse one falls though it never fails."""
    play.screen.act(
        4,
        "Good and bad",
        "Version 3 is an equally good refit; version 4 answers every request, but its training job took"
        f" {training.SWAPPED[0]} for {training.SWAPPED[1]}.",
    )
    await published(play, "3")
    await start_rollout(play, "3", policies.ROLLOUT, "an equally good refit")
    await follow_to_the_end(play, "3", shadow=True)
    play.mark("control")
    await published(play, "4")
    tell_policy(play, policies.CANARY)
    await start_rollout(play, "4", policies.CANARY, "tried on users at once")
    await play.facts.until(
        "version 4 answers user requests",
        "client",
        functools.partial(looks.answering, play, "4"),
        seconds=REACTION_SECONDS,
    )
    await play.facts.until(
        "the pilot rolls version 4 back, on paired labelled accuracy and not on an error",
        "history",
        functools.partial(looks.rolled_back, play, "4"),
        seconds=ROLLOUT_SECONDS,
    )
    await play.facts.until(
        "version 3 answers everything again",
        "gateway",
        functools.partial(looks.alone, play, "3"),
        seconds=ANSWER_SECONDS,
    )
    play.mark("end")


async def the_books_agree(play: Play) -> None:
    """Stop the traffic and count: client, gateway, log and monitor."""
    await play.end_traffic()
    play.books = await play.facts.until(
        "client, gateway, log and monitor counted the same",
        "all four",
        functools.partial(looks.books_agree, play),
        seconds=REACTION_SECONDS,
    )
    await play.facts.until(
        "no request failed and no record was lost",
        "client and gateway",
        functools.partial(looks.nothing_lost, play),
        seconds=ANSWER_SECONDS,
    )


def first_version(play: Play) -> tuple[float, int]:
    """Train on the world as it is, and publish; accuracy on held-out rows, and how many rows there were."""
    import pandas as pd  # noqa: PLC0415  loads slowly

    applications = Stream(BEFORE, play.options.seed).take(FIRST_ROWS)
    trained = training.train(applications.frame(), pd.Series(applications.labels), seed=play.options.seed)
    training.publish(trained, play.stage.models)
    return trained.accuracy, len(applications)


async def refit(play: Play) -> None:
    """Train versions 3 and 4 on the window since the change, one after the other, while traffic goes on."""
    await play.run_to_end(
        "driftgate.demo.retraining",
        *(str(refit_file(play, version)) for version in ("3", "4")),
        *("--models", str(play.stage.models), "--data", str(play.stage.data)),
        *("--since", looks.stamp(play.marks["change"])),
        *("--rows", str(REFIT_ROWS), "--seed", str(play.options.seed + 1)),
    )


def refit_file(play: Play, version: str) -> Path:
    """Where the job writes what became of a version; its name says whether the job makes the mistake."""
    mistake = play.options.sabotage == "v3-bad" if version == "3" else play.options.sabotage != "v4-good"
    return play.stage.folder / f"{retraining.MISTAKE if mistake else 'refit'}-{version}.json"


async def published(play: Play, version: str) -> None:
    """Wait for a refit."""
    play.results[version] = await play.facts.until(
        f"version {version} is published",
        "registry",
        functools.partial(looks.refitted, play, refit_file(play, version)),
        seconds=TRAINING_SECONDS,
    )


async def start_rollout(play: Play, version: str, policy: Path, reason: str) -> None:
    """Start a rollout as an operator would."""
    await play.command(
        *("rollout", "start", training.MODEL, "--to", version, "--file", str(policy)),
        *("--operator", play.urls["operator"], "--actor", "demo", "--reason", reason),
    )


async def follow_to_the_end(play: Play, version: str, *, shadow: bool) -> None:
    """Wait for each step of a rollout that succeeds; each fact cites its history row."""
    steps: list[tuple[str, Any]] = []
    if shadow:
        steps.append((f"version {version} runs in shadow", looks.started))
        steps.append((f"the pilot gives version {version} a quarter of the requests", looks.advanced))
    steps.append((f"the pilot promotes version {version}", looks.promoted))
    steps.append((f"version {version} is stable, its bake is over", looks.finished))
    for name, look in steps:
        await play.facts.until(
            name, "history", functools.partial(look, play, version), seconds=ROLLOUT_SECONDS
        )
        play.marks.setdefault(f"{look.__name__} {version}", time.time())


def tell_policy(play: Play, policy: Path) -> None:
    """Print a shipped rollout file, and how it differs from the defaults."""
    lines = [line for line in policy.read_text().splitlines() if line and not line.startswith("#")]
    differences = policies.rollout_differences(policy)
    play.screen.say([f"{policy.name}:", *(f"  {line}" for line in lines), "differs from the defaults in:"])
    play.screen.say([f"  {line}" for line in differences])
