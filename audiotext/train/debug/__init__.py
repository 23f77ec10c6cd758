"""What helps where training goes wrong: none of it changes what a step computes."""
