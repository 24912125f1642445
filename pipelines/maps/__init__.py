"""anomaly maps: KeAD and WinCLIP, the stage, reading maps back, their quality."""
