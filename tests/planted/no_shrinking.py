"""A plugin of pytest: that a fault is caught is enough, the least example need not be found."""

from hypothesis import Phase, settings

settings.register_profile("planted", phases=[Phase.explicit, Phase.generate], print_blob=False)
settings.load_profile("planted")
