"""`cptlab doctor [machine=...]`."""
def add_commands(c): pass
def run(o): return 0
