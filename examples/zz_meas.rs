//! Scratch.
#[path = "../benches/work/mod.rs"]
mod work;
use work::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n: u64 = a[2].parse().unwrap();
    let r = match a[1].as_str() {
        "s_seq8" => with_stroma::seq8::<u64>(n),
        "h_seq8" => by_hand::seq8::<u64>(n),
        "s_seq8w" => with_stroma::seq8::<Wide>(n),
        "h_seq8w" => by_hand::seq8::<Wide>(n),
        "s_par2" => with_stroma::par2::<u64>(n),
        "h_par2" => by_hand::par2::<u64>(n),
        "s_par2w" => with_stroma::par2::<Wide>(n),
        "h_par2w" => by_hand::par2::<Wide>(n),
        "s_rt" => with_stroma::seq8_retry_timeout::<u64>(n),
        "s_rtw" => with_stroma::seq8_retry_timeout::<Wide>(n),
        "h_rt" => by_hand::seq8_retry_timeout::<u64>(n),
        "h_rtw" => by_hand::seq8_retry_timeout::<Wide>(n),
        "h_mem" => by_hand::seq8_memory::<u64>(n),
        "h_memw" => by_hand::seq8_memory::<Wide>(n),
        "s_mem" => with_stroma::seq8_memory::<u64>(n),
        "s_memw" => with_stroma::seq8_memory::<Wide>(n),
        "h_res" => by_hand::resume_last::<u64>(n),
        "h_resw" => by_hand::resume_last::<Wide>(n),
        "s_res" => with_stroma::resume_last::<u64>(n),
        "s_resw" => with_stroma::resume_last::<Wide>(n),
        _ => panic!(),
    };
    println!("{r}");
}
