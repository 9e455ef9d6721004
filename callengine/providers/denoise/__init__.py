"""Noise suppressors."""

from callengine.providers.denoise.webrtc import WebRtcDenoiser

__all__ = ["WebRtcDenoiser"]
