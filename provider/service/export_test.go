package service

// Mixture is what decides whether a live zone is a plan that stopped half-way.
var Mixture = mixture
