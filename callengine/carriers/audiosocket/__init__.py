"""Asterisk's AudioSocket: a media stream over TCP, from a PBX of one's own."""

from callengine.carriers.audiosocket.carrier import AudioSocket
from callengine.carriers.audiosocket.codec import AudioSocketCodec
from callengine.carriers.audiosocket.media_socket import AudioSocketMediaSocket

__all__ = ["AudioSocket", "AudioSocketCodec", "AudioSocketMediaSocket"]
