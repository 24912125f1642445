"""searches of trainings on Ray Tune."""
