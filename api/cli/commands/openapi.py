"""The command `bitbudget openapi`: print the OpenAPI document of the service."""

from __future__ import annotations

import json
from typing import Any

import click

from api.cli.setting_options import setting_options, settings_of
from api.http.app import openapi_document


@click.command("openapi", short_help="Print the OpenAPI document.")
@setting_options
def command(**options: Any) -> None:
    """Print the OpenAPI document of the HTTP service, from which clients are generated, as JSON.

    No service is started, and nothing is stored. The options are those of `bitbudget serve`: the document says the
    limits of a service that runs with them.
    """
    click.echo(json.dumps(openapi_document(settings_of(options)), indent=2, ensure_ascii=False))
