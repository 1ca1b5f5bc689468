"""The credentials of a client as plain data, for libraries that make their own connections."""

from __future__ import annotations

from dataclasses import dataclass

from exuvia.kube.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Where the server is, whom to trust, and who we are: a client certificate or a bearer token."""

    server: str
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token: str = ""
    insecure: bool = False


async def of(client: Client) -> Credentials:
    """As the client uses them now."""
    configuration = client.configuration
    auth = await configuration.auth_settings()
    bearer = str(auth["BearerToken"]["value"] or "") if "BearerToken" in auth else ""
    return Credentials(
        server=client.host,
        ca_file=str(configuration.ssl_ca_cert or ""),
        certificate_file=str(configuration.cert_file or ""),
        key_file=str(configuration.key_file or ""),
        token=bearer.removeprefix("Bearer "),
        insecure=not configuration.verify_ssl,
    )
