"""``callengine simulate``: a caller without a telephone, and the carrier between him and a server."""
