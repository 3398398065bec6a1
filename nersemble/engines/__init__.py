"""Engines that run the units of a plan: processes of this machine, Ray, datatrove.

Each does what ``nersemble.prepare.run.Engine`` says.  Exactness comes from the unit, a pure function that writes one
name and skips what is there; an engine only has to see that every unit is run, and again where its worker died.
"""
