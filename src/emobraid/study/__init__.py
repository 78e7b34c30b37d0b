"""Studies: loops over recipes at equal budget, each trial resumable, ending in tables that name their protocol."""
