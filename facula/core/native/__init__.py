"""The emitted road of a call: from arguments through the plan table to a kernel, without Python."""
