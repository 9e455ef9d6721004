"""Speech and language providers: recipes for the protocols of `callengine.ports`, one file a vendor."""
