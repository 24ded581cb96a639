"""Pure decoders: bytes in, Arrow tables out. No socket, file or clock."""
