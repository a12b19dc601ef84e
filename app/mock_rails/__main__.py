"""The mock's command line: build a world, serve it, export it, fire a webhook, draw it."""

import argparse
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.mock_rails.clock import Clock
from app.mock_rails.config import Config, parse_instant
from app.mock_rails.world.recipe import PROFILES, Recipe


def _build(args: argparse.Namespace) -> None:
    from app.mock_rails.world.build import build_world

    recipe = Recipe(PROFILES[args.profile], args.seed, args.until, args.family, args.null_twin)
    card = build_world(recipe, args.out)
    rows = ", ".join(f"{count:,} {name}" for name, count in card["rows"].items())
    print(f"Built world {args.profile} (seed {args.seed}) in {args.out}: {rows}.")


def _serve(args: argparse.Namespace) -> None:
    import uvicorn

    from app.mock_rails.api import create_app
    from app.mock_rails.webhooks import Herald
    from app.mock_rails.world.build import load_world

    config = Config.from_environment()
    clock = Clock(args.at or config.fixed_now)
    world = load_world(args.world)
    herald = None
    if args.webhook_url:
        if not args.webhook_secret:
            raise ValueError("--webhook-url needs --webhook-secret")
        herald = Herald(world.frames, clock=clock, url=args.webhook_url, secret=args.webhook_secret)
    app = create_app(world, clock=clock, config=config, herald=herald)
    where = f"http://{args.host}:{args.port}"
    print(f"Mock marketplace on {where}, world {world.card['profile']}, clock {clock.now()}.", flush=True)
    uvicorn.run(app, host=args.host, port=args.port, log_level="warning")


def _dump(args: argparse.Namespace) -> None:
    from app.mock_rails.dump import write_dump

    counts = write_dump(args.world, before=args.before, out=args.out)
    print(
        f"Exported to {args.out}: " + ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) + "."
    )


def _send(args: argparse.Namespace) -> None:
    from app.mock_rails.by_hand import an_event, send

    now = args.at or datetime.now(UTC)
    happened_at = args.happened_at or now
    event_type, data = an_event(
        args.kind,
        session_id=args.session_id,
        tutor_id=args.tutor_id,
        student_id=args.student_id,
        now=happened_at,
    )
    codes = send(
        event_type,
        data,
        url=args.url,
        secret=args.secret,
        happened_at=happened_at,
        now=now,
        message_id=args.message_id,
        times=args.times,
        forge=args.forge,
    )
    print(f"Sent {args.session_id} ({args.kind}) {args.times} time(s): HTTP {', '.join(map(str, codes))}.")


def _plots(args: argparse.Namespace) -> None:
    from app.mock_rails.plots import draw

    page = draw(args.world, out=args.out, page=args.page or args.out.with_suffix(".md"))
    print(f"Drew the world into {args.out}; the page is {page}.")


def _more_commands(commands: Any) -> None:
    send = commands.add_parser("send", help="fire one webhook by hand")
    send.add_argument("--url", required=True)
    send.add_argument("--secret", required=True)
    send.add_argument(
        "--kind", default="ok", help="what happened: ok, late_feedback, rescheduled, and others"
    )
    send.add_argument("--session-id", default="ses_by_hand")
    send.add_argument("--tutor-id", default="tut_001")
    send.add_argument("--student-id", default="cus_00001")
    send.add_argument("--message-id")
    send.add_argument("--times", type=int, default=1)
    send.add_argument("--forge", action="store_true", help="sign with a wrong secret")
    send.add_argument("--at", type=parse_instant, help="the time of sending, ISO 8601")
    send.add_argument("--happened-at", type=parse_instant, help="the time of the event, if it is another one")
    send.set_defaults(run=_send)

    plots = commands.add_parser("plots", help="draw a world and describe it")
    plots.add_argument("--world", type=Path, required=True)
    plots.add_argument("--out", type=Path, required=True)
    plots.add_argument("--page", type=Path)
    plots.set_defaults(run=_plots)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.mock_rails", description=__doc__)
    commands = parser.add_subparsers(required=True)

    build = commands.add_parser("build", help="write a seeded world")
    build.add_argument("--profile", choices=sorted(PROFILES), default="demo")
    build.add_argument("--seed", type=int, default=7)
    build.add_argument("--until", type=parse_instant, required=True, help="the anchor, ISO 8601")
    build.add_argument("--family", choices=("multiplicative", "bursty"), default="multiplicative")
    build.add_argument("--null-twin", action="store_true", help="the same world with every effect at zero")
    build.add_argument("--out", type=Path, required=True)
    build.set_defaults(run=_build)

    serve = commands.add_parser("serve", help="serve a world over HTTP")
    serve.add_argument("--world", type=Path, required=True)
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--at", type=parse_instant, help="a fixed clock, ISO 8601")
    serve.add_argument("--webhook-url")
    serve.add_argument("--webhook-secret", help="whsec_…")
    serve.set_defaults(run=_serve)

    dump = commands.add_parser("dump", help="write the marketplace's own export")
    dump.add_argument("--world", type=Path, required=True)
    dump.add_argument("--before", type=parse_instant, required=True)
    dump.add_argument("--out", type=Path, required=True)
    dump.set_defaults(run=_dump)

    _more_commands(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; a refusal is one line on standard error and status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"mock_rails: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
