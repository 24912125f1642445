"""the vision-language encoder: loaded, opened by surgery, told what to look for."""
