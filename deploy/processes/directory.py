"""The LDAP server, for those who log people in."""

from authgw.directory.ldap import DirectorySettings
from deploy.layout import Appliance


def directory_settings(appliance: Appliance) -> DirectorySettings | None:
    """The LDAP server, if one is configured."""
    values = appliance.config.directory
    if not values.host:
        return None
    return DirectorySettings(
        host=values.host,
        port=values.port,
        tls=values.tls,
        ca_file=appliance.configured_file(values.ca_file),
        server_name=values.server_name or None,
        base_dn=values.base_dn,
        bind_dn=values.bind_dn,
        bind_password=values.bind_password,
        user_filter=values.user_filter,
    )
