//! A program that does nothing, for what every program has.

#![no_std]
#![no_main]

#[allow(dead_code, reason = "it has no work")]
mod work;

program!(|argc| argc);
