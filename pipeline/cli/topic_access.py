"""``calmstream topics acls``: what each role may do on Kafka, as a table, as JSON or as commands of Kafka's tools."""

from typing import Annotated

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.terminal import cell, console, table


def acls(
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="A role: ingest, join, score, correlate, deliver, producer, reader, look, operate, admin. Repeatable."
        ),
    ] = None,
    principal: Annotated[
        str, typer.Option(help="Who gets the rights, as Kafka names them: User:name.")
    ] = "User:calmstream",
    as_json: Annotated[bool, typer.Option("--json", help="A list in Kafka's words, for programs.")] = False,
    as_commands: Annotated[bool, typer.Option("--commands", help="Commands of Kafka's own kafka-acls.sh.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show the access control lists that Kafka needs, for all roles of a worker or those given. Asks no broker.

    Exactly these suffice, and a worker tries nothing else. `producer` sends telemetry, `reader` subscribes to
    incidents (give it READ of its consumer group too), `look` is for verbs that only look, `operate` for policies and
    dead letters, `admin` for `topics create`, `topics grow` and `state reset`.

    Exit code 2 if a role is not known.
    """
    from pipeline.streams import access

    settings = settings_of(config, bootstrap)
    if unknown := set(role or ()) - set(access.ROLES):
        raise typer.BadParameter(f"no role is named {', '.join(sorted(unknown))}; there are {', '.join(access.ROLES)}")
    if as_json and as_commands:
        raise typer.BadParameter("--json and --commands are two forms of the same; give one")
    roles = role or list(access.WORKERS)
    granted = access.merged(access.grants(settings, each) for each in roles)
    if as_json:
        print(access.as_json(principal, granted))
    elif as_commands:
        print("\n".join(access.as_commands(settings.broker.bootstrap, principal, granted)))
    else:
        shown = table("role", "on", "name", "operations")
        for each in roles:
            for (resource, name), operations in access.by_resource(access.grants(settings, each)).items():
                shown.add_row(*(cell(word) for word in (each, resource, name, ", ".join(operations))))
        console().print(shown)
