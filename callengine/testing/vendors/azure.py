"""A simulated Azure Speech: the recogniser's WebSocket, voices over HTTP, their list, and tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.azure_turns import AzureSocket, is_id
from callengine.testing.vendors.base import Answer, Request, Vendor, WebSocket
from callengine.testing.words import Vocabulary

RECOGNISER = "/speech/recognition/conversation/cognitiveservices/v1"
VOICES = ("en-US-AvaMultilingualNeural", "en-US-AndrewMultilingualNeural", "de-DE-KatjaNeural")
FORMATS = {
    "raw-8khz-8bit-mono-mulaw": AudioFormat("mulaw", 8000),
    "raw-8khz-8bit-mono-alaw": AudioFormat("alaw", 8000),
    "raw-8khz-16bit-mono-pcm": AudioFormat("l16", 8000),
    "raw-16khz-16bit-mono-pcm": AudioFormat("l16", 16000),
    "raw-24khz-16bit-mono-pcm": AudioFormat("l16", 24000),
    "raw-48khz-16bit-mono-pcm": AudioFormat("l16", 48000),
}

_QUERY = frozenset({
    "language", "format", "profanity", "wordLevelTimestamps", "initialSilenceTimeoutMs", "endSilenceTimeoutMs",
    "segmentationSilenceTimeoutMs", "segmentationMaximumTimeMs", "segmentationStrategy", "stableIntermediateThreshold",
    "storeAudio", "lidEnabled", "cid",
})  # fmt: skip
_SPEAK = "{http://www.w3.org/2001/10/synthesis}"
_CHUNK = 0.1
"""Seconds of audio that it sends at a time."""


class FakeAzure(Vendor):
    """One region. The recogniser writes paths in mixed case, sends messages of turns that are over, and may end a turn
    by itself."""

    def __init__(self, vocabulary: Vocabulary | None = None, *, region: str = "westeurope") -> None:
        super().__init__(vocabulary)
        self.hosts = (
            f"{region}.stt.speech.microsoft.com",
            f"{region}.tts.speech.microsoft.com",
            f"{region}.api.cognitive.microsoft.com",
        )
        self.region = region
        self.turns: list[str] = []
        """The ids of all turns."""
        self.configurations: list[dict[str, Any]] = []
        """Every ``speech.config``."""
        self.contexts: list[dict[str, Any]] = []
        """Every ``speech.context``."""
        self.turn_limit = float("inf")
        """Seconds of audio after which it ends a turn by itself."""
        self.end_delay = 0.0
        """Seconds between the end of a turn's audio and that of the turn."""
        self.ssml: list[str] = []
        """Every document that it was to speak."""

    # --- requests -----------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """Speech, the list of voices, or a token."""
        if request.headers.get("ocp-apim-subscription-key") != self.key:
            return self.error(401, "")
        match request.method, request.path:
            case "POST", "/cognitiveservices/v1":
                return self._speak(request)
            case "GET", "/cognitiveservices/voices/list":
                return Answer.of([{"ShortName": voice, "SampleRateHertz": "24000"} for voice in VOICES])
            case "POST", "/sts/v1.0/issueToken":
                return Answer(200, b"a-token", {"content-type": "application/jwt; charset=us-ascii"})
        return self.error(404, "")

    def error(self, status: int, message: str) -> Answer:
        """Often there is nothing but the status."""
        if not message:
            return Answer(status)
        return Answer.of({"error": {"code": str(status), "message": message}}, status)

    def _speak(self, request: Request) -> Answer:
        headers = request.headers
        audio_format = FORMATS.get(headers.get("x-microsoft-outputformat", ""))
        if audio_format is None or not headers.get("user-agent"):
            return self.error(400, "A header is missing or not valid.")
        if headers.get("content-type") != "application/ssml+xml":
            return self.error(415, "")
        document = request.body.decode()
        self.ssml.append(document)
        try:
            speak = ElementTree.fromstring(document)
        except ElementTree.ParseError as error:
            self.complain(f"the SSML is not XML: {error}")
            return self.error(400, "SSML parsing error.")
        voice = speak[0] if len(speak) == 1 else None
        if speak.tag != f"{_SPEAK}speak" or voice is None or voice.tag != f"{_SPEAK}voice":
            self.complain("the SSML is not one speak element with one voice element")
            return self.error(400, "SSML parsing error.")
        if voice.get("name") not in VOICES:
            return self.error(400, f"Unsupported voice {voice.get('name')}.")
        text = "".join(voice.itertext())
        self.spoken.append(text)
        return Answer(200, self._audio(text, audio_format), {"content-type": "audio/basic"})

    async def _audio(self, text: str, audio_format: AudioFormat) -> AsyncIterator[bytes]:
        audio, _ = self.speech(text, audio_format)
        size = round(_CHUNK * audio_format.sample_rate) * audio_format.sample_width
        for start in range(0, len(audio), size):
            yield audio[start : start + size]

    # --- the recogniser -----------------------------------------------------------------------------------------------

    def admit(self, request: Request) -> Answer | None:
        """A handshake needs the path, the key, an id and a language (or a custom model)."""
        if request.path != RECOGNISER:
            return self.error(404, "")
        if request.headers.get("ocp-apim-subscription-key") != self.key:
            return self.error(401, "")
        if not is_id(request.headers.get("x-connectionid", "")):
            return self.error(400, "X-ConnectionId is missing")
        for name in request.query.keys() - _QUERY:
            self.complain(f"no such parameter: {name}")
        if ("language" in request.query) == ("cid" in request.query):
            return self.error(400, "language or cid is needed")
        language = request.parameter("language")
        if language is not None and "-" not in language:
            return self.error(400, f"Unsupported language {language}")
        return None

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """One connection."""
        await AzureSocket(self, socket, detailed=request.parameter("format") == "detailed").run()
