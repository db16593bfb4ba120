//! Max–min fairness: nobody gets more while somebody who wants more has less.

use super::ticket::Share;

/// A request and the tokens that it could use, at least 1.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    pub index: usize,
    pub load: usize,
}

/// Shares `room` tokens equally among clients, and a client's equally among its requests, both given in
/// the order in which they are served. Only so many take part that each gets `least` tokens or its
/// whole load; the first in any case.
pub fn divide(clients: &[&[Want]], room: usize, least: usize) -> Vec<Share> {
    let all = |wants: &[Want]| wants.iter().fold(0usize, |sum, w| sum.saturating_add(w.load));
    let totals: Vec<usize> = clients.iter().map(|wants| all(wants)).collect();
    let mut shares = Vec::new();
    let mut loads = Vec::new();
    for (client, room) in serve(&totals, room, least) {
        let wants = clients[client];
        let wanted: Vec<usize> = wants.iter().map(|w| w.load).collect();
        for (place, tokens) in serve(&wanted, room, least) {
            shares.push(Share { index: wants[place].index, tokens });
            loads.push(wants[place].load);
        }
    }
    // A client whose next request doesn't fit leaves something over.
    let mut left = room - shares.iter().map(|s| s.tokens).sum::<usize>();
    for (share, load) in shares.iter_mut().zip(loads) {
        let more = left.min(load - share.tokens);
        share.tokens += more;
        left -= more;
    }
    shares
}

/// Who of those with `loads` takes part, and with how many tokens.
fn serve(loads: &[usize], room: usize, least: usize) -> Vec<(usize, usize)> {
    let chosen = choose(loads, room, least);
    let wanted: Vec<usize> = chosen.iter().map(|&i| loads[i]).collect();
    chosen.into_iter().zip(max_min(&wanted, room)).collect()
}

/// The first of those with `loads`, and whoever after it fits with `least` tokens or its whole load.
fn choose(loads: &[usize], room: usize, least: usize) -> Vec<usize> {
    let mut left = room;
    let mut chosen = Vec::new();
    for (i, load) in loads.iter().enumerate() {
        let need = *load.min(&least);
        if left == 0 {
            break;
        }
        if need <= left || chosen.is_empty() {
            left = left.saturating_sub(need);
            chosen.push(i);
        }
    }
    chosen
}

/// Tokens for each of `loads` out of `room`: small ones whole, the others equally, tokens that are
/// left over to the first.
pub fn max_min(loads: &[usize], room: usize) -> Vec<usize> {
    let mut sorted = loads.to_vec();
    sorted.sort_unstable();
    let (mut left, mut level, mut over) = (room, usize::MAX, 0);
    for (i, load) in sorted.iter().enumerate() {
        let others = sorted.len() - i;
        if *load > left / others {
            (level, over) = (left / others, left % others);
            break;
        }
        left -= load;
    }
    let mut share = |load: usize| {
        if load <= level {
            return load;
        }
        let more = over.min(1);
        over -= more;
        level + more
    };
    loads.iter().map(|&load| share(load)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_loads_are_served_whole_and_the_rest_is_equal() {
        assert_eq!(max_min(&[10, 500, 500], 200), [10, 95, 95]);
        assert_eq!(max_min(&[500, 10, 500, 500], 200), [64, 10, 63, 63]);
        assert_eq!(max_min(&[1, 2, 3], 100), [1, 2, 3]);
        assert_eq!(max_min(&[5, 5, 5], 2), [1, 1, 0]);
        assert!(max_min(&[], 10).is_empty());
    }

    #[test]
    fn no_more_take_part_than_get_something_useful() {
        assert_eq!(choose(&[100, 100, 100, 3], 40, 16), [0, 1, 3]);
        assert_eq!(choose(&[100, 3], 5, 16), [0]);
        assert!(choose(&[100], 0, 16).is_empty());
    }

    #[test]
    fn a_client_gets_as_much_as_another_with_many_requests() {
        let one = [Want { index: 9, load: 1000 }];
        let many: Vec<Want> = (0..9).map(|index| Want { index, load: 1000 }).collect();
        let shares = divide(&[&many, &one], 100, 16);
        assert_eq!(shares.last(), Some(&Share { index: 9, tokens: 50 }));
        let tokens: Vec<usize> = shares.iter().map(|s| s.tokens).collect();
        assert_eq!(tokens, [17, 17, 16, 50]);
    }

    proptest! {
        #[test]
        fn shares_are_max_min_fair(loads in prop::collection::vec(1usize..300, 0..40), room in 0usize..2000) {
            let shares = max_min(&loads, room);
            prop_assert_eq!(shares.iter().sum::<usize>(), room.min(loads.iter().sum()));
            let most = shares.iter().copied().max().unwrap_or(0);
            for (share, load) in shares.iter().zip(&loads) {
                prop_assert!(share <= load);
                prop_assert!(share == load || share + 1 >= most, "{share} of {load} beside {most}");
            }
        }

        #[test]
        fn a_division_fits_and_is_useful(
            clients in prop::collection::vec(prop::collection::vec(1usize..300, 1..12), 1..20),
            room in 1usize..1200,
            least in 1usize..32,
        ) {
            let wants: Vec<Vec<Want>> = clients
                .iter()
                .enumerate()
                .map(|(c, loads)| (0..).zip(loads).map(|(i, &load)| Want { index: c * 100 + i, load }).collect())
                .collect();
            let parties: Vec<&[Want]> = wants.iter().map(Vec::as_slice).collect();
            let shares = divide(&parties, room, least);
            prop_assert!(shares.iter().map(|s| s.tokens).sum::<usize>() <= room);
            prop_assert_eq!(shares.first().map(|s| s.index), Some(0), "the first always takes part");
            for share in &shares {
                let load = clients[share.index / 100][share.index % 100];
                prop_assert!(share.tokens <= load);
                prop_assert!(share.tokens >= load.min(least).min(room), "{share:?} of {load}");
            }
        }
    }
}
